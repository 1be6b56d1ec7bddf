import { dirname, resolve } from 'node:path'
import type { ParsedConfigFile } from './configFile.ts'
import type { Environment } from './loadEnvironment.ts'
import { findConfigFile, readConfigFile } from './readConfigFile.ts'

/** Where Rialto keeps everything unless it is told otherwise. */
const DEFAULT_DIRECTORY = '.rialto'

/** RIALTO_DIR, from the working folder; else what the configuration says, from its own. Absolute. */
export const directoryOf = (environment: Environment, file: string, content: ParsedConfigFile): string =>
  environment.directory === undefined
    ? resolve(dirname(file), content.directory ?? DEFAULT_DIRECTORY)
    : resolve(environment.directory)

/**
 * The folder that Rialto keeps everything in, absolute, for commands that need nothing else of the configuration:
 * a policy that is wrong must not keep anybody from halting an agent.
 *
 * @param path of the configuration file; without one, that of the working folder, or the default if there is none
 * @throws {ConfigError} when the file is malformed.
 * @throws {ConfigFileError} when the file is named and is not there, or cannot be read.
 * @example await findDirectory(loadEnvironment(process.env)) // '/home/ann/bots/.rialto'
 */
export async function findDirectory(environment: Environment, path?: string): Promise<string> {
  if (environment.directory !== undefined) return resolve(environment.directory)
  const found = path ?? findConfigFile()
  if (found === null) return resolve(DEFAULT_DIRECTORY)
  const { file, content } = await readConfigFile(found)
  return directoryOf(environment, file, content)
}
