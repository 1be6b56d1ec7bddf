import { Command } from 'commander'
import { agentId } from '../../../runtime/core/ids.ts'
import type { TradingState } from '../../../runtime/core/verdict.ts'
import { sendOrder } from '../../api/client.ts'
import { findDirectory } from '../../config/findDirectory.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { openStore } from '../../store/openStore.ts'
import type { Terminal } from '../terminal.ts'

type Options = { agent?: string; reduceOnly?: boolean; json?: boolean }

/** `rialto halt`: no agent signs anything any more, from the next block on and over restarts. */
export function haltCommand(terminal: Terminal): Command {
  return new Command('halt')
    .description('stop all agents, or one, from signing anything; it holds over restarts')
    .option('--agent <id>', 'only this agent')
    .option('--reduce-only', 'let intents through that reduce risk')
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
    .option('--json', 'print the result as one JSON object')
    .action((options: Options) => order(terminal, 'active', options))
}

/** The running runtime owns the database, so it is asked; without one the journal is opened here. */
async function order(terminal: Terminal, state: TradingState, { agent, json }: Options): Promise<void> {
  const environment = loadEnvironment(process.env)
  const { databaseUrl } = environment
  const directory = await findDirectory(environment)
  const id = agent === undefined ? null : agentId(agent)
  const reason = `ordered by ${process.env.USER ?? 'the owner'} on the command line`
  const running = await sendOrder(directory, { agent: id, state, reason })
  if (!running) {
    const store = await openStore(databaseUrl === undefined ? { directory } : { url: databaseUrl })
    try {
      await store.journals.setTradingState(id, state, reason)
    } finally {
      await store.close()
    }
  }
  const whom = id ?? 'all agents'
  if (json === true) terminal.out(JSON.stringify({ agent: id, state, running }))
  else
    terminal.out(`${whom}: ${state}${running ? '' : ' (nothing runs now; it holds from the next start on)'}.`)
}
