import { Command } from 'commander'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { type AgentId, agentId } from '../../../runtime/core/ids.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { findStranger } from '../../api/status.ts'
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
  const running = await sendOrder(directory, { agent, state, reason })
  if (!running) await writeOrder({ environment, directory, config: options.config, agent, state, reason })
  const whom = agent ?? 'all agents'
  if (options.json === true) terminal.out(JSON.stringify({ agent, state, running }))
  else
    terminal.out(
      `${whom}: ${state}${running ? '' : ` (nothing runs on ${directory} now; it holds from the next start on)`}.`,
    )
}

/** Writes the order into the journal that the next start will open: the configuration may name it. */
async function writeOrder(order: {
  readonly environment: Environment
  readonly directory: string
  readonly config: string | undefined
  readonly agent: AgentId | null
  readonly state: TradingState
  readonly reason: string
}): Promise<void> {
  const { environment, agent } = order
  const file = order.config ?? findConfigFile()
  const content = file === null ? null : (await readConfigFile(file)).content
  const stranger =
    content === null
      ? null
      : findStranger(
          agent,
          content.agents.map(({ id }) => id),
        )
  if (stranger !== null) throw new InvalidInputError(stranger)
  const url = environment.databaseUrl ?? content?.store?.databaseUrl
  // A disk that is nearly full must not keep anybody from halting an agent.
  const folder = await holdDirectory(order.directory, 0)
  try {
    const store = await openStore(url === undefined ? { directory: folder.path } : { url })
    try {
      await store.journals.setTradingState(agent, order.state, order.reason)
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}
