import { Command } from 'commander'
import { type CommandLoader, loadNamed } from '../../loadNamed.ts'
import type { Terminal } from '../../terminal.ts'

const commands: ReadonlyMap<string, CommandLoader> = new Map<string, CommandLoader>([
  ['explain', async () => (await import('./explain.ts')).explainCommand],
  ['compile', async () => (await import('./compile.ts')).compileCommand],
  ['apply', async () => (await import('./apply.ts')).applyCommand],
  ['check', async () => (await import('./check.ts')).checkCommand],
])

/** `rialto policy`: what a policy lets be lost, and the same limits on-chain. */
export async function policyCommand(terminal: Terminal, [named]: readonly string[]): Promise<Command> {
  const command = new Command('policy').description(
    "say what an agent's policy lets be lost, and hold a Safe to it by a Zodiac Roles modifier",
  )
  for (const make of await loadNamed(commands, named)) command.addCommand(await make(terminal, []))
  return command
}
