import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { type Address, getAddress, isAddress } from 'viem'
import { describeError, InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { findStranger, type TradingOrder } from '../../api/status.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { type Environment, loadEnvironment } from '../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../config/readConfigFile.ts'
import { holdDirectory } from '../../directory.ts'
import { giveOwnerOrder } from '../../orders/ownerOrders.ts'
import { openStore } from '../../store/openStore.ts'
import type { Terminal } from '../terminal.ts'
import { scopeOf } from './scope.ts'

type Options = { agent?: string; account?: string; reduceOnly?: boolean; config?: string; json?: boolean }

/** `rialto halt`: nothing is signed any more, from the next block on and over restarts. */
export function haltCommand(terminal: Terminal): Command {
  return scoped(
    new Command('halt').description(
      'stop all agents, one, or all on one account from signing anything; it holds over restarts, and the protector obeys it',
    ),
  )
    .option('--reduce-only', 'let through what reduces risk; the protector goes on')
    .action((options: Options) =>
      order(terminal, options.reduceOnly === true ? 'reducing' : 'halted', options),
    )
}

/** `rialto resume`: takes back what `halt` ordered, and a freeze after a deviation. */
export function resumeCommand(terminal: Terminal): Command {
  return scoped(
    new Command('resume').description('let all agents, one, or all on one account act again'),
  ).action((options: Options) => order(terminal, 'active', options))
}

const scoped = (command: Command): Command =>
  command
    .addOption(new Option('--agent <id>', 'only this agent').conflicts('account'))
    .option('--account <address>', 'only whoever acts on this account')
    .option(
      '--config <file>',
      'the configuration that was started (default: rialto.config.ts in this folder)',
    )
    .option('--json', 'print the result as one JSON object')

/**
 * Two places are told: the folder's file of orders, which signer, protector and guards of this machine look at and
 * which needs neither database nor queue, and the journal, which all machines share. The running runtime owns the
 * embedded journal, so it is asked; without one the journal is opened here.
 */
async function order(terminal: Terminal, state: TradingState, options: Options): Promise<void> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, options.config)
  const scope = scopeOf(options)
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  const given = { scope, state, reason }
  // Whoever stops everything is heard before anything that could fail is asked.
  if (scope === 'all' && state !== 'active') writeHere(directory, given)
  const answer = await sendOrder(directory, given).catch((error: unknown) => onlyHere(error, given))
  if (answer === null)
    await writeOrder(given, { environment, directory, config: options.config }).catch((error: unknown) =>
      onlyHere(error, given),
    )
  if (scope !== 'all' || state === 'active') writeHere(directory, given)
  const { agent = null, account = null } = options
  if (options.json === true)
    return terminal.out(
      JSON.stringify({ agent, account, state, running: answer !== null, agents: answer?.agents ?? null }),
    )
  const whom = agent ?? (account === null ? 'all agents' : `all agents on ${account}`)
  terminal.out(
    `${whom}: ${state}${answer !== null ? '' : ` (nothing runs on ${directory} now; it holds from the next start on)`}.`,
  )
  // The strictest order counts: one for all outlasts what one agent is told.
  for (const { id, tradingState } of answer?.agents ?? [])
    if (account === null && (agent === null || agent === id) && tradingState !== state)
      terminal.out(`${id} is still ${tradingState}, by another order: rialto resume takes all of them back.`)
}

/** Nothing may ever have been started in the folder. */
function writeHere(directory: string, given: TradingOrder): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  giveOwnerOrder(directory, given)
}

/** What the journal could not be told holds on this machine all the same, if it was to stop everything. */
function onlyHere(error: unknown, { scope, state }: TradingOrder): never {
  if (scope !== 'all' || state === 'active') throw error
  throw new RialtoError(
    'ORDER_ONLY_HERE',
    `All agents on this machine are ${state}, but the journal could not be told: ${describeError(error)}`,
    { fix: 'Workers on other machines do not know: stop them, or say it again when the journal answers.' },
  )
}

/** Writes the order into the journal that the next start will open: the configuration may name it. */
async function writeOrder(
  given: TradingOrder,
  {
    environment,
    directory,
    config,
  }: { readonly environment: Environment; readonly directory: string; readonly config: string | undefined },
): Promise<void> {
  const file = config ?? findConfigFile()
  // Only who halts everything can do without: the others have to know the agents by name.
  const isNeeded = given.scope !== 'all' || given.state === 'active'
  const content = file === null && !isNeeded ? null : (await readConfigFile(file ?? undefined)).content
  const known = {
    agents: content?.agents.map(({ id }) => id) ?? [],
    accounts: [
      ...(content?.agents.flatMap(({ account }) =>
        account === undefined ? [] : [typeof account === 'string' ? account : account.safe],
      ) ?? []),
      ...keystoreAddresses(directory),
    ],
  }
  const stranger = content === null ? null : findStranger(given.scope, known)
  if (stranger !== null) throw new InvalidInputError(stranger)
  const url = environment.databaseUrl ?? content?.store?.databaseUrl
  // A disk that is nearly full must not keep anybody from halting an agent.
  const folder = await holdDirectory(directory, 0)
  try {
    const store = await openStore(url === undefined ? { directory: folder.path } : { url })
    try {
      await giveOrder(store.journals, given, known)
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}

/** Accounts whose keys are in the folder: key files are named by address. */
function keystoreAddresses(directory: string): readonly Address[] {
  const folder = join(directory, 'keystore')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .map((name) => name.replace(/\.json$/, ''))
    .filter((name) => isAddress(name, { strict: false }))
    .map((name) => getAddress(name))
}
