import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { doctorCommand } from './commands/doctor.ts'
import { haltCommand, resumeCommand } from './commands/halt.ts'
import { inferenceCommand } from './commands/inference/index.ts'
import { scenariosCommand } from './commands/scenarios.ts'
import { startCommand } from './commands/start.ts'
import { statusCommand } from './commands/status.ts'
import { explain, outliveReaders, processTerminal } from './terminal.ts'

/** The command line. Each command is a file of `commands/`. */
function createProgram(): Command {
  const program = new Command('rialto')
    .description('DeFi agents that can be trusted with money.')
    .version(version)
    .showHelpAfterError('(add --help for what it takes)')
    .addHelpText('after', '\nExit codes: 0 success, 1 failed, 2 wrong use.')
  for (const make of [
    startCommand,
    scenariosCommand,
    doctorCommand,
    statusCommand,
    haltCommand,
    resumeCommand,
    inferenceCommand,
  ])
    program.addCommand(make(processTerminal))
  overrideExit(program)
  return program
}

/** Has a command and all under it throw, where they would end the process. */
function overrideExit(command: Command): void {
  command.exitOverride()
  for (const each of command.commands) overrideExit(each)
}

/** Runs a command line and returns its exit code. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync([...argv])
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    // commander has printed what it has to say; its own code for help and version is 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const { line, exitCode } = explain(error)
    processTerminal.note(`rialto: ${line}`)
    return exitCode
  }
}

outliveReaders(process)
process.exitCode = await main(process.argv)
