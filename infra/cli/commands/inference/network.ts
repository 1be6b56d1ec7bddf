import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { findDirectory } from '../../../config/findDirectory.ts'
import { type Environment, loadEnvironment } from '../../../config/loadEnvironment.ts'
import { loadNetwork, type NetworkConfig } from '../../../config/loadNetwork.ts'
import { findConfigFile, readConfigFile } from '../../../config/readConfigFile.ts'
import { findNetwork, postNetwork, withdrawNetwork } from '../../../inference/networkNotice.ts'
import { privacyWords } from '../../../inference/protocol/network/privacy.ts'
import { LOOPBACK_CAVEAT, startLoopbackNetwork } from '../../../inference/startLoopbackNetwork.ts'
import type { Terminal } from '../../terminal.ts'

/** How a command is told which network to use. */
export type NetworkSelection = { readonly network?: string; readonly config?: string }

/** A network to ask. */
export type FoundNetwork = {
  readonly network: NetworkConfig
  /** Rialto's folder, where the purses are. */
  readonly directory: string
  readonly environment: Environment
  /** Whether all of its roles are on this machine, run by one operator. */
  readonly isLoopback: boolean
  /** Ends what was started for the command. */
  close(): Promise<void>
}

/** The options of {@link findOrStartNetwork}. */
export const networkOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--network <file>',
        'the network, as a JSON file (default: that of the configuration, else one on loopback)',
      ).env('RIALTO_NETWORK'),
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')

/** The option that every command that asks something takes. */
export const privacyOption = (): Option =>
  new Option('--privacy <word>', 'the weakest word that is accepted')
    .choices(privacyWords.filter((word) => word !== 'local'))
    .default('private')

/**
 * The network that is named, that the configuration names, or that runs on Rialto's folder; without any of these one
 * on loopback is started for the command.
 *
 * @throws {ConfigError, ConfigFileError} when what is named is wrong
 */
export async function findOrStartNetwork(
  { network: path, config }: NetworkSelection,
  terminal: Terminal,
): Promise<FoundNetwork> {
  const environment = loadEnvironment(process.env)
  const directory = await findDirectory(environment, config)
  const found = { directory, environment, close: async () => undefined }
  const named = path === undefined ? await configuredNetwork(config) : resolve(path)
  if (named !== null) return { ...found, network: await loadNetwork(named), isLoopback: false }
  const running = await findNetwork(directory)
  if (running !== null) return { ...found, network: running, isLoopback: true }
  terminal.note(`No network is named, so one is started on loopback (${LOOPBACK_CAVEAT}).`)
  const started = await startLoopbackNetwork({ directory: resolve(directory, 'inference') })
  // Said, so that a second command uses it too: two cannot run on one folder.
  await postNetwork(directory, started.network)
  return {
    ...found,
    network: started.network,
    isLoopback: true,
    async close() {
      await withdrawNetwork(directory)
      await started.close()
    },
  }
}

/** The path that the configuration names, absolute; null when there is no configuration, or it names none. */
async function configuredNetwork(config: string | undefined): Promise<string | null> {
  const file = config ?? findConfigFile()
  if (file === null) return null
  const { file: at, content } = await readConfigFile(file)
  const { network } = content.inference ?? {}
  return network === undefined ? null : resolve(at, '..', network)
}
