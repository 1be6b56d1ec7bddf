import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { loadConfig } from '../../config/loadConfig.ts'
import { loadEnvironment } from '../../config/loadEnvironment.ts'
import { type LogLevel, logLevels } from '../../telemetry/createLogger.ts'
import { findScenario, scenarios } from '../../world/scenarios/index.ts'
import {
  type PassphraseOptions,
  passphraseFdOption,
  passphraseFileOption,
  passphraseSource,
  refusePassphraseVariable,
} from '../passphrase.ts'
import { runScenario } from '../start/runScenario.ts'
import { watchChain } from '../start/watchChain.ts'
import type { Terminal } from '../terminal.ts'

type Options = PassphraseOptions & {
  scenario: string
  seed: number
  blocks?: number
  from?: string
  to?: string
  once?: boolean
  protector: boolean
  json?: boolean
  realtime?: true | number
  fresh?: boolean
  port: number
  config?: string
  log: LogLevel
}

/** Where the status is served unless told otherwise. */
const STATUS_PORT = 4690
/** Milliseconds between blocks with a bare `--realtime`. */
const REALTIME = 1_000

const whole =
  (what: string, min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be ${what} from ${min} to ${max}.`)
  }

/** What means something on the local world alone. */
const PLAY_OPTIONS = ['scenario', 'seed', 'blocks', 'from', 'to', 'json', 'realtime', 'fresh'] as const

/** @throws {InvalidInputError} when a chain that is there already is asked to play. */
function refusePlayOptions(command: Command): void {
  const given = PLAY_OPTIONS.filter((name) => command.getOptionValueSource(name) === 'cli')
  if (given.length > 0)
    throw new InvalidInputError(
      `${given.map((name) => `--${name}`).join(', ')} can only be used on the local world, and the configuration names a chain.`,
      { fix: `Leave ${given.length === 1 ? 'it' : 'them'} out, or set chain to { kind: "world" }.` },
    )
}

/** `rialto start`: the main job. */
export function startCommand(terminal: Terminal): Command {
  return new Command('start')
    .description(
      'start the runtime: on a local world that plays a scenario, or on the chain of the configuration',
    )
    .option(
      '--scenario <name|file>',
      `what to play: ${scenarios.map(({ name }) => name).join(', ')}, or an OHLCV CSV file`,
      'black-thursday',
    )
    .option('--seed <n>', 'which of its paths', whole('a whole number', 0, 0xffff_ffff), 1)
    .option(
      '--blocks <n>',
      "in how many blocks (default: the scenario's own)",
      whole('a whole number', 1, 1_000_000),
    )
    .option('--from <time>', 'of a file: the first bar, as 2022-11-07 or 2022-11-07T12:00')
    .option('--to <time>', 'of a file: the last bar; a date means through its end')
    .option('--once', 'end after the scenario, with exit code 0 only if its pass rule holds')
    .option('--json', 'print the report as one JSON object on standard output')
    .option(
      '--realtime [ms]',
      'mine a block every so many milliseconds without waiting for anybody',
      whole('milliseconds', 10, 60_000),
    )
    .option('--no-protector', 'start no protector beside it: another machine runs one (rialto protect)')
    .option('--fresh', 'end a world that an earlier start left running, instead of going on with it')
    .option(
      '--port <n>',
      'of the status server on 127.0.0.1; 0 takes any that is free',
      whole('a port', 0, 65_535),
      STATUS_PORT,
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .addOption(passphraseFileOption())
    .addOption(passphraseFdOption())
    .addOption(new Option('--log <level>', 'how much goes to rialto.log').choices(logLevels).default('info'))
    .action(async (options: Options, command: Command) => {
      const startedAt = performance.now()
      refusePassphraseVariable(process.env)
      const config = await loadConfig(options.config, loadEnvironment(process.env))
      if (config.chain.kind === 'rpc') {
        refusePlayOptions(command)
        process.exitCode = await watchChain({
          config,
          chain: config.chain,
          port: options.port,
          logLevel: options.log,
          once: options.once === true,
          protector: options.protector && options.once !== true,
          passphrase: passphraseSource(options, config.signer.passphrase),
          terminal,
        })
        return
      }
      if (passphraseSource(options) !== null)
        throw new InvalidInputError('The local world makes keys of its own, and asks for no passphrase.', {
          fix: 'Leave --passphrase-file and --passphrase-fd out.',
        })
      const { scenario, seed, from, to, blocks } = options
      const found = await findScenario(scenario, {
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(blocks === undefined ? {} : { blocks }),
      })
      // Whatever is wrong with the path is said before anything starts.
      found.scenario.path({ seed, blocks: found.blocks })
      process.exitCode = await runScenario({
        config,
        request: {
          found,
          scenario:
            scenarios.some(({ name }) => name === scenario) || !existsSync(scenario)
              ? scenario
              : resolve(scenario),
          seed,
          from: from ?? null,
          to: to ?? null,
        },
        realtime:
          options.realtime === undefined ? null : options.realtime === true ? REALTIME : options.realtime,
        once: options.once === true,
        json: options.json === true,
        fresh: options.fresh === true,
        port: options.port,
        logLevel: options.log,
        terminal,
        startedAt,
      })
    })
}
