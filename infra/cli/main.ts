import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { type CommandLoader, loadNamed } from './loadNamed.ts'
import { explain, outliveReaders, processTerminal } from './terminal.ts'

const commands: ReadonlyMap<string, CommandLoader> = new Map<string, CommandLoader>([
  ['start', async () => (await import('./commands/start.ts')).startCommand],
  ['scenarios', async () => (await import('./commands/scenarios.ts')).scenariosCommand],
  ['doctor', async () => (await import('./commands/doctor.ts')).doctorCommand],
  ['status', async () => (await import('./commands/status.ts')).statusCommand],
  ['safe', async () => (await import('./commands/safe/index.ts')).safeCommand],
  ['policy', async () => (await import('./commands/policy/index.ts')).policyCommand],
  ['contracts', async () => (await import('./commands/contracts.ts')).contractsCommand],
  ['halt', async () => (await import('./commands/halt.ts')).haltCommand],
  ['resume', async () => (await import('./commands/halt.ts')).resumeCommand],
  ['approvals', async () => (await import('./commands/approvals/index.ts')).approvalsCommand],
  ['evacuate', async () => (await import('./commands/evacuate.ts')).evacuateCommand],
  ['wallet', async () => (await import('./commands/wallet/index.ts')).walletCommand],
  ['signer', async () => (await import('./commands/signer.ts')).signerCommand],
  ['protect', async () => (await import('./commands/protect.ts')).protectCommand],
  ['drill', async () => (await import('./commands/drill.ts')).drillCommand],
  ['inference', async () => (await import('./commands/inference/index.ts')).inferenceCommand],
])

/** The command line. Each command is a file of `commands/`. */
async function createProgram([named, ...rest]: readonly string[]): Promise<Command> {
  const program = new Command('rialto')
    .description('DeFi agents that can be trusted with money.')
    .version(version)
    .addHelpText('after', '\nExit codes: 0 success, 1 failed, 2 wrong use.')
  for (const make of await loadNamed(commands, named)) program.addCommand(await make(processTerminal, rest))
  governed(program)
  return program
}

/** Has a command and all under it throw, where they would end the process, and say what is wrong in one line. */
function governed(command: Command): void {
  command.exitOverride().configureOutput({
    outputError: (text, write) =>
      write(
        `rialto: ${text
          .replace(/^error: /, '')
          .trim()
          .replaceAll(/\s*\n\s*/g, ' ')} (${pathOf(command)} --help)\n`,
      ),
  })
  for (const each of command.commands) governed(each)
}

/** @example pathOf(list) // 'rialto approvals list' */
const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`

/** Runs a command line and returns its exit code. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(argv.slice(2))
    await program.parseAsync([...argv])
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
