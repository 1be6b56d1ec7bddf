import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** Makes a command. `rest` is what follows its name, for a command that has commands of its own. */
type MakeCommand = (terminal: Terminal, rest: readonly string[]) => Command | Promise<Command>

/** Loads the module of a command. */
export type CommandLoader = () => Promise<MakeCommand>

/**
 * Loads the command that is named and no other, so that a relay holds none of an agent's code and starts at once; all
 * of them where none is named, or one that is not there, since whoever asks is then shown what there is.
 */
export async function loadNamed(
  commands: ReadonlyMap<string, CommandLoader>,
  named: string | undefined,
): Promise<readonly MakeCommand[]> {
  const load = commands.get(named ?? '')
  return load === undefined ? Promise.all([...commands.values()].map((each) => each())) : [await load()]
}
