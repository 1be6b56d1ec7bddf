import { Command } from 'commander'
import { type CommandLoader, loadNamed } from '../../loadNamed.ts'
import type { Terminal } from '../../terminal.ts'

const commands: ReadonlyMap<string, CommandLoader> = new Map<string, CommandLoader>([
  ['create', async () => (await import('./create.ts')).createCommand],
])

/** `rialto safe`: the account whose limits the chain keeps. */
export async function safeCommand(terminal: Terminal, [named]: readonly string[]): Promise<Command> {
  const command = new Command('safe').description(
    'make the account that an agent acts for under limits that the chain keeps',
  )
  for (const make of await loadNamed(commands, named)) command.addCommand(await make(terminal, []))
  return command
}
