import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { RialtoError } from '../runtime/core/errors.ts'

/** A whole number from `least` on, of at most nine digits: for `Option.argParser` and `Command.option`. */
export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text)
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`)
  }

/** Begins the command line of `npm run <name>`, which takes no arguments but its options. */
export const commandLine = (name: string, description: string): Command =>
  new Command(`npm run ${name} --`)
    .description(description)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })

/**
 * Runs a program of the tests to its exit code: what `main` says, or 2 after one line on standard error when its
 * arguments are not as they should be or it fails in a way that has a name.
 */
export async function runCommand(command: Command, main: () => Promise<number>): Promise<void> {
  try {
    command.parse()
    process.exitCode = await main()
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return
      process.stderr.write(`${error.message.replaceAll('\n', ' ')} See --help.\n`)
    } else if (error instanceof RialtoError) process.stderr.write(`${error.toLine()}\n`)
    else throw error
    process.exitCode = 2
  }
}
