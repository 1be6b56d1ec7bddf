import { existsSync, mkdirSync } from 'node:fs'
import { Command, Option } from 'commander'
import { describeError, RialtoError } from '../../../runtime/core/errors.ts'
import type { TradingScope } from '../../../runtime/core/journal.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { findStranger, type OrderAnswer, StrangerError, type TradingOrder } from '../../api/status.ts'
import type { ParsedConfigFile } from '../../config/configFile.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { resolveActor } from '../../config/loadConfig.ts'
import { type Environment, loadEnvironment } from '../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../config/readConfigFile.ts'
import { holdDirectory } from '../../directory.ts'
import { type KnownTargets, knownTargets } from '../../orders/knownTargets.ts'
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
 * something that the configuration or the keystore knows is heard before anybody is asked who might not answer; whoever
 * lets go, or gives a name that only the runtime can know, is heard when the journal has been.
 */
async function order(terminal: Terminal, state: TradingState, options: Options): Promise<void> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, options.config)
  const scope = scopeOf(options)
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  const given = { scope, state, reason }
  const write = () => writeHere(directory, given)
  const stops = state !== 'active'
  if (stops && scope === 'all') write()
  const configured = await readConfigured(directory, options.config)
  // A name that nobody has must leave no trace: not even one that is taken back, over what was said to it before.
  const isFirst = stops && (scope === 'all' || findStranger(scope, configured.known) === null)
  if (isFirst && scope !== 'all') write()
  const told = await tellJournal(given, { environment, directory, configured, isFirst, write })
  if (!isFirst) write()
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
  terminal.out(`${whom(scope)}: ${state}${EXPLAINED[told.by](directory, configured.isMissing)}.`)
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
  | { readonly by: 'here' | 'beside' | 'nobody' | 'later' }

const EXPLAINED: Readonly<Record<Told['by'], (directory: string, isMissing: boolean) => string>> = {
  runtime: () => '',
  here: (directory, isMissing) =>
    ` (nothing runs on ${directory} now; it holds from the next start on${isMissing ? '; there is no configuration here, so if you meant another folder, nothing is stopped there' : ''})`,
  beside: () => ' (the runtime could not be told; the journal was, beside it)',
  nobody: () =>
    ' (the runtime could not be told; signer and protector obey all the same, and so does it once it goes on)',
  later: () =>
    ' (the runtime was started from another configuration, without it; it holds here, and from its next start on)',
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
  const { configured, directory } = place
  let silence: unknown = null
  try {
    const answer = await sendOrder(directory, given)
    if (answer !== null) return { by: 'runtime', agents: answer.agents }
  } catch (error) {
    if (error instanceof StrangerError && !place.isFirst) throw error
    silence = error
  }
  try {
    // Only who halts everything can do without: the others have to know the agents by name.
    const isNeeded = given.scope !== 'all' || given.state === 'active'
    if (configured.failure !== null && (isNeeded || !configured.isMissing)) throw configured.failure
    // Before anything is said of it: neither a runtime that hangs nor a journal that cannot be told makes a name known.
    const stranger = configured.content === null ? null : findStranger(given.scope, configured.known)
    if (stranger !== null) throw new StrangerError(stranger)
    const url = place.environment.databaseUrl ?? configured.content?.store?.databaseUrl
    if (silence !== null && url === undefined) {
      if (given.state === 'active') throw silence
      return { by: silence instanceof StrangerError ? 'later' : 'nobody' }
    }
    await writeOrder(given, { directory, known: configured.known, url })
    return { by: silence === null ? 'here' : 'beside' }
  } catch (error) {
    if (error instanceof StrangerError || given.state === 'active') throw error
    // Where nothing was ever started, a name is more likely to be in the wrong folder than to be stopped.
    if (!place.isFirst && !existsSync(directory)) throw error
    if (!place.isFirst) place.write()
    throw new RialtoError(
      'ORDER_ONLY_HERE',
      `${whom(given.scope)}: ${given.state} for all that runs on ${directory}, but the journal could not be told: ${describeError(error)}`,
      { fix: 'Workers on other machines do not know: stop them, or say it again when the journal answers.' },
    )
  }
}

type Place = {
  readonly environment: Environment
  readonly directory: string
  readonly configured: Configured
  /** Whether the folder's file holds the order already. */
  readonly isFirst: boolean
  /** Has the folder's file hold it. */
  write(): void
}

/** What is known without the runtime. */
type Configured = {
  /** Null when it could not be read. */
  readonly content: ParsedConfigFile | null
  /** Why it could not; `isMissing`: there is none where it is looked for, and nobody named one. */
  readonly failure: unknown
  readonly isMissing: boolean
  readonly known: KnownTargets
}

/** Reads the configuration, and whom it names: what is wrong with it is for later, when the runtime does not know more. */
async function readConfigured(directory: string, path: string | undefined): Promise<Configured> {
  const isMissing = path === undefined && findConfigFile() === null
  try {
    const { content } = await readConfigFile(path)
    const known = knownTargets(directory, content.agents.map(resolveActor))
    return { content, failure: null, isMissing, known }
  } catch (failure) {
    return { content: null, failure, isMissing, known: knownTargets(directory, []) }
  }
}

/** Nothing may ever have been started in the folder. */
function writeHere(directory: string, given: TradingOrder): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  giveOwnerOrder(directory, given)
}

/** Writes the order into the journal that the next start will open: the configuration may name it. */
async function writeOrder(
  given: TradingOrder,
  {
    directory,
    known,
    url,
  }: { readonly directory: string; readonly known: KnownTargets; readonly url: string | undefined },
): Promise<void> {
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
