import { Command } from 'commander'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { agentId } from '../../../runtime/core/ids.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { giveOrder } from '../../api/giveOrder.ts'
import { findStranger, type TradingOrder } from '../../api/status.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { type Environment, loadEnvironment } from '../../config/loadEnvironment.ts'
import { findConfigFile, readConfigFile } from '../../config/readConfigFile.ts'
import { holdDirectory } from '../../directory.ts'
import { openStore } from '../../store/openStore.ts'
import type { Terminal } from '../terminal.ts'

type Options = { agent?: string; reduceOnly?: boolean; config?: string; json?: boolean }

/** `rialto halt`: no agent signs anything any more, from the next block on and over restarts. */
export function haltCommand(terminal: Terminal): Command {
  return new Command('halt')
    .description('stop all agents, or one, from signing anything; it holds over restarts')
    .option('--agent <id>', 'only this agent')
    .option('--reduce-only', 'let intents through that reduce risk')
    .option(
      '--config <file>',
      'the configuration that was started (default: rialto.config.ts in this folder)',
    )
    .option('--json', 'print the result as one JSON object')
    .action((options: Options) =>
      order(terminal, options.reduceOnly === true ? 'reducing' : 'halted', options),
    )
}

/** `rialto resume`: takes back what `halt` ordered, and a freeze after a deviation. */
export function resumeCommand(terminal: Terminal): Command {
  return new Command('resume')
    .description('let all agents, or one, act again')
    .option('--agent <id>', 'only this agent')
    .option(
      '--config <file>',
      'the configuration that was started (default: rialto.config.ts in this folder)',
    )
    .option('--json', 'print the result as one JSON object')
    .action((options: Options) => order(terminal, 'active', options))
}

/** The running runtime owns the database, so it is asked; without one the journal is opened here. */
async function order(terminal: Terminal, state: TradingState, options: Options): Promise<void> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, options.config)
  const agent = options.agent === undefined ? null : agentId(options.agent)
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  const given = { agent, state, reason }
  const answer = await sendOrder(directory, given)
  if (answer === null) await writeOrder(given, { environment, directory, config: options.config })
  if (options.json === true)
    return terminal.out(
      JSON.stringify({ agent, state, running: answer !== null, agents: answer?.agents ?? null }),
    )
  terminal.out(
    `${agent ?? 'all agents'}: ${state}${answer !== null ? '' : ` (nothing runs on ${directory} now; it holds from the next start on)`}.`,
  )
  // The strictest order counts: one for all outlasts what one agent is told.
  for (const { id, tradingState } of answer?.agents ?? [])
    if ((agent === null || agent === id) && tradingState !== state)
      terminal.out(`${id} is still ${tradingState}, by another order: rialto resume takes all of them back.`)
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
  const isNeeded = given.agent !== null || given.state === 'active'
  const content = file === null && !isNeeded ? null : (await readConfigFile(file ?? undefined)).content
  const agents = content?.agents.map(({ id }) => id) ?? []
  const stranger = content === null ? null : findStranger(given.agent, agents)
  if (stranger !== null) throw new InvalidInputError(stranger)
  const url = environment.databaseUrl ?? content?.store?.databaseUrl
  // A disk that is nearly full must not keep anybody from halting an agent.
  const folder = await holdDirectory(directory, 0)
  try {
    const store = await openStore(url === undefined ? { directory: folder.path } : { url })
    try {
      await giveOrder(store.journals, given, agents)
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}
