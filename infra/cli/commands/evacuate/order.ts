import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { describeError, InvalidInputError } from '../../../../runtime/core/errors.ts'
import type { TradingScope } from '../../../../runtime/core/journal.ts'
import { sendOrder } from '../../../api/client.ts'
import { giveOwnerOrder } from '../../../orders/ownerOrders.ts'
import { SignerError } from '../../../signer/errors.ts'
import { lockFolder } from '../../../signer/lock.ts'
import type { Terminal } from '../../terminal.ts'

/** Whoever was asked said no. */
export const NOT_CONFIRMED = 'NOT_CONFIRMED'

/** Whom an evacuation leaves halted, protectors too, and how that is taken back. */
export function stayHalted(scope: TradingScope): string {
  const [whom, option] =
    scope === 'all'
      ? ['Everybody', '']
      : 'agent' in scope
        ? [`Agent ${scope.agent}`, ` --agent ${scope.agent}`]
        : [`Everybody on ${scope.account}`, ` --account ${scope.account}`]
  return `${whom} stays halted, and no protector acts: run this again to go on with the evacuation, or take it back with "rialto resume${option}".`
}

/** @throws {InvalidInputError} `NOT_CONFIRMED` */
export async function confirm(): Promise<void> {
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question('Evacuate now? Type yes: ')
    if (answer.trim() === 'yes') return
  } finally {
    asking.close()
  }
  throw new InvalidInputError('It was not confirmed: nothing was ordered or sent for it.', {
    code: NOT_CONFIRMED,
    fix: 'Type yes, or give --yes.',
  })
}

/** The file is what signer and guards obey; a runtime that runs is told as well, for workers elsewhere and its status. */
export function orderIt(
  directory: string,
  scope: TradingScope,
  state: 'evacuating' | 'reducing',
  terminal: Terminal,
): void {
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  giveOwnerOrder(directory, { scope, state, reason })
  sendOrder(directory, { scope, state: state === 'evacuating' ? 'halted' : state, reason }).catch(
    (error: unknown) =>
      terminal.note(`  the runtime could not be told, which changes nothing here: ${describeError(error)}`),
  )
}

/** Two would outbid one another. */
export async function lockOnly(directory: string): Promise<() => void> {
  try {
    return await lockFolder(join(directory, 'evacuation.lock'), 0)
  } catch (error) {
    if (!(error instanceof SignerError) || error.code !== 'SIGNER_LOCKED') throw error
    throw new InvalidInputError(`An evacuation runs on ${directory} already.`, {
      code: 'EVACUATION_RUNS',
      fix: 'Leave it: it goes on until nothing of value is left.',
      details: error.details,
    })
  }
}
