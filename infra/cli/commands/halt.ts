import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { type Address, getAddress, isAddress } from 'viem'
import { describeError, RialtoError } from '../../../runtime/core/errors.ts'
import type { TradingScope } from '../../../runtime/core/journal.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { findStranger, type OrderAnswer, StrangerError, type TradingOrder } from '../../api/status.ts'
import type { ParsedConfigFile } from '../../config/configFile.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { type Environment, loadEnvironment } from '../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../config/readConfigFile.ts'
import { holdDirectory } from '../../directory.ts'
import { giveOwnerOrder } from '../../orders/ownerOrders.ts'
import { openStore, type Store } from '../../store/openStore.ts'
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
 * which needs neither database nor queue nor anybody's answer, and the journal, which all machines share. Whoever stops
 * something is heard before anything that could fail is asked; whoever lets go is heard when the journal has been.
 */
async function order(terminal: Terminal, state: TradingState, options: Options): Promise<void> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, options.config)
  const scope = scopeOf(options)
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  const given = { scope, state, reason }
  // Where nothing was ever started, a name is more likely to be in the wrong folder than to be stopped.
  const isFirst = state !== 'active' && (scope === 'all' || existsSync(directory))
  if (isFirst) writeHere(directory, given)
  const told = await tellJournal(given, { environment, directory, config: options.config, isFirst }).catch(
    (error: unknown) => {
      // Whoever mistypes a name must not believe that it is halted, nor find it halted one day.
      if (error instanceof StrangerError && isFirst)
        writeHere(directory, { ...given, state: 'active', reason: 'taken back: it named nobody' })
      throw error
    },
  )
  if (!isFirst) writeHere(directory, given)
  const { agent = null, account = null } = options
  const agents = told.by === 'runtime' ? told.agents : null
  if (options.json === true)
    return terminal.out(
      JSON.stringify({
        agent,
        account,
        state,
        running: told.by !== 'here',
        answered: agents !== null,
        agents,
      }),
    )
  terminal.out(`${whom(scope)}: ${state}${EXPLAINED[told.by](directory)}.`)
  // The strictest order counts: one for all outlasts what one agent is told.
  for (const { id, tradingState } of agents ?? [])
    if (account === null && (agent === null || agent === id) && tradingState !== state)
      terminal.out(`${id} is still ${tradingState}, by another order: rialto resume takes all of them back.`)
}

/** @example whom({ agent: 'guardian' }) // 'guardian' */
const whom = (scope: TradingScope): string =>
  scope === 'all' ? 'all agents' : 'agent' in scope ? scope.agent : `all agents on ${scope.account}`

/** Who wrote an order into the journal; `nobody`: it is another process's alone, which does not answer. */
type Told =
  | { readonly by: 'runtime'; readonly agents: OrderAnswer['agents'] }
  | { readonly by: 'here' | 'beside' | 'nobody' }

const EXPLAINED: Readonly<Record<Told['by'], (directory: string) => string>> = {
  runtime: () => '',
  here: (directory) => ` (nothing runs on ${directory} now; it holds from the next start on)`,
  beside: () => ' (the runtime could not be told; the journal was, beside it)',
  nobody: () =>
    ' (the runtime could not be told; signer and protector obey all the same, and so does it once it goes on)',
}

/**
 * Tells the journal. The running runtime owns the embedded one, so it is asked; without one, or where the journal is a
 * server and the runtime hangs, it is written here.
 *
 * An embedded journal whose runtime hangs is told nothing, and need not be: all who could act on it read the folder's
 * file. That is so for an order that stops something; one that lets go has to be in the journal.
 *
 * @throws {StrangerError} when there is nobody of that name.
 * @throws {RialtoError} `ORDER_ONLY_HERE` when others may not know of an order that stops something.
 */
async function tellJournal(given: TradingOrder, place: Place): Promise<Told> {
  let silence: unknown = null
  try {
    const answer = await sendOrder(place.directory, given)
    if (answer !== null) return { by: 'runtime', agents: answer.agents }
  } catch (error) {
    if (error instanceof StrangerError) throw error
    silence = error
  }
  try {
    const file = place.config ?? findConfigFile()
    // Only who halts everything can do without: the others have to know the agents by name.
    const isNeeded = given.scope !== 'all' || given.state === 'active'
    const content = file === null && !isNeeded ? null : (await readConfigFile(file ?? undefined)).content
    const url = place.environment.databaseUrl ?? content?.store?.databaseUrl
    if (silence !== null && url === undefined) {
      if (given.state === 'active') throw silence
      return { by: 'nobody' }
    }
    await writeOrder(given, { directory: place.directory, content, url })
    return { by: silence === null ? 'here' : 'beside' }
  } catch (error) {
    if (error instanceof StrangerError || !place.isFirst) throw error
    throw new RialtoError(
      'ORDER_ONLY_HERE',
      `${whom(given.scope)}: ${given.state} for all that runs on ${place.directory}, but the journal could not be told: ${describeError(error)}`,
      { fix: 'Workers on other machines do not know: stop them, or say it again when the journal answers.' },
    )
  }
}

type Place = {
  readonly environment: Environment
  readonly directory: string
  readonly config: string | undefined
  /** Whether the folder's file holds the order already. */
  readonly isFirst: boolean
}

/** Nothing may ever have been started in the folder. */
function writeHere(directory: string, given: TradingOrder): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  giveOwnerOrder(directory, given)
}

/**
 * Writes the order into the journal that the next start will open: the configuration may name it.
 *
 * @throws {StrangerError} when the configuration and the keystore know nobody of that name.
 */
async function writeOrder(
  given: TradingOrder,
  {
    directory,
    content,
    url,
  }: {
    readonly directory: string
    readonly content: ParsedConfigFile | null
    readonly url: string | undefined
  },
): Promise<void> {
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
  if (stranger !== null) throw new StrangerError(stranger)
  if (url !== undefined) return write(await openStore({ url }))
  // A disk that is nearly full must not keep anybody from halting an agent.
  const folder = await holdDirectory(directory, 0)
  try {
    await write(await openStore({ directory: folder.path }))
  } finally {
    folder.release()
  }

  async function write(store: Store): Promise<void> {
    try {
      await giveOrder(store.journals, given, known)
    } finally {
      await store.close()
    }
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
