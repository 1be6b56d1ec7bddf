import {
  type Address,
  decodeFunctionResult,
  formatEther,
  getAddress,
  type Hex,
  type LocalAccount,
  multicall3Abi,
} from 'viem'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Receipt } from '../../runtime/core/ports.ts'
import { type Rpc, RpcAnswer } from '../chain/rpc.ts'
import {
  askQuantity,
  costOf,
  requireIdle,
  sendFromOwner,
  type TransactionCost,
} from '../chain/sendFromOwner.ts'
import { openStateReader } from '../chain/stateReader.ts'
import { bytes, parseAnswer } from '../chain/wire.ts'
import { SafeNotCreatedError } from './errors.ts'
import type { NewSafe } from './planSafe.ts'

/** What it takes to make a Safe, and whether whoever pays has it. In wei. */
export type CreationCost = TransactionCost & { readonly most: bigint; readonly balance: bigint }

type Transaction = NonNullable<NewSafe['transaction']>

const REFUSED =
  'Run it again: it says what is there by now, and what is missing. Nothing was changed if nothing was mined.'

/**
 * Runs what makes a Safe at the newest block, and looks whether both come to be where they should. Nothing is signed.
 *
 * @param payer who would send it
 * @throws {SafeNotCreatedError} when they would not.
 */
export async function tryCreation(
  rpc: Rpc,
  planned: NewSafe,
  transaction: Transaction,
  payer: Address,
): Promise<CreationCost> {
  const { to, data } = transaction
  const refused = (why: string) => new SafeNotCreatedError(why, REFUSED)
  const answer = await rpc.call('eth_call', [{ from: payer, to, data }, 'latest']).catch((error: unknown) => {
    throw error instanceof RpcAnswer ? refused(error.said) : error
  })
  const made = addressesIn(parseAnswer(bytes, answer, 'eth_call', rpc.host), refused)
  const expected = [planned.safe, planned.modifier].filter(({ isThere }) => !isThere)
  for (const [index, { address }] of expected.entries())
    if (made[index] !== address) throw refused(`it would be at ${made[index]}, not at ${address}`)
  const cost = await costOf({ rpc, to, data, refused }, payer)
  const balance = await askQuantity(rpc, 'eth_getBalance', [payer, 'latest'])
  return { ...cost, most: cost.gas * cost.maxFeePerGas, balance }
}

/** The addresses that the calls of a batch returned. */
function addressesIn(returned: Hex, refused: (why: string) => SafeNotCreatedError): readonly Address[] {
  try {
    const results = decodeFunctionResult({ abi: multicall3Abi, functionName: 'aggregate3', data: returned })
    return results.map(({ returnData }) => getAddress(`0x${returnData.slice(-40)}`))
  } catch {
    // viem's error holds all the data; that it does not decode is all there is to say.
    throw refused('what it returns does not decode')
  }
}

/**
 * Signs, sends and waits for what makes a Safe, and looks whether it is there. Killed in between, it may be called again:
 * the addresses stay the same, and while the payer has anything in flight it sends nothing.
 *
 * @throws {InvalidInputError} when the payer has too few coins.
 * @throws {SafeNotCreatedError} when it does not come to be.
 * @throws {RialtoError} as `sendFromOwner` does, when it was not sent, or may still be mined.
 */
export async function createSafe(parameters: {
  readonly rpc: Rpc
  readonly chainId: number
  readonly planned: NewSafe
  readonly transaction: Transaction
  readonly payer: LocalAccount
}): Promise<Receipt> {
  const { rpc, chainId, planned, transaction, payer } = parameters
  const nextCommand = 'rialto safe create'
  await requireIdle(rpc, payer.address, nextCommand)
  requireCoins(payer.address, await tryCreation(rpc, planned, transaction, payer.address))
  const receipt = await sendFromOwner({
    ...{ rpc, chainId, owner: payer, ...transaction },
    refused: (why) => new SafeNotCreatedError(why, REFUSED),
    nextCommand,
  })
  const reader = await openStateReader(rpc)
  for (const { address } of [planned.safe, planned.modifier])
    if ((await reader.code(address)) === '0x')
      throw new SafeNotCreatedError(
        `transaction ${receipt.hash} is mined, and ${rpc.host} has no code at ${address}`,
        'Its chain may have moved: run it again.',
      )
  return receipt
}

/** @throws {InvalidInputError} when whoever pays has less than it may take. */
export function requireCoins(payer: Address, { most, balance }: CreationCost): void {
  if (balance >= most) return
  throw new InvalidInputError(
    `${payer} has ${formatEther(balance)} coins, and making the Safe takes up to ${formatEther(most)}.`,
    {
      code: 'NO_COINS',
      fix: `Send it at least ${formatEther(most - balance)} more.`,
      details: { balance, most },
    },
  )
}
