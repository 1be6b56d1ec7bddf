import { existsSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import { describeError } from '../../runtime/core/errors.ts'
import { configFile, type ParsedConfigFile } from './configFile.ts'
import { ConfigError, ConfigFileError, type ConfigIssue } from './errors.ts'
import type { LocatedJson } from './readJson.ts'
import { readJsonFile } from './readJsonFile.ts'
import { readText } from './readText.ts'
import { shownPath } from './shownPath.ts'

/** Looked for in the working folder, in this order. */
const configFileNames = [
  'rialto.config.ts',
  'rialto.config.mts',
  'rialto.config.js',
  'rialto.config.mjs',
  'rialto.config.json',
] as const

/** A configuration file that is well formed; what it names has not been read yet. */
export type ConfigFileContent = {
  /** Absolute. */
  readonly file: string
  readonly content: ParsedConfigFile
  /** Throws a {@link ConfigError} about the file, with lines where they are known. */
  fail(issues: readonly ConfigIssue[]): never
}

/**
 * Reads a configuration file by itself.
 *
 * @param path of the file; without one, the first of `rialto.config.{ts,mts,js,mjs,json}` in the working folder
 * @throws {ConfigError} naming everything that is malformed.
 * @throws {ConfigFileError} when it is not there or cannot be read.
 */
export async function readConfigFile(path?: string): Promise<ConfigFileContent> {
  const file = path === undefined ? requireConfig() : resolve(path)
  const shown = shownPath(file)
  const { value, lineOf } =
    extname(file) === '.json'
      ? await readJsonFile(
          'the configuration',
          shown,
          (issue, cause) => new ConfigError([issue], shown, cause),
        )
      : await importFile(file, shown)
  const fail = (issues: readonly ConfigIssue[]): never => {
    throw new ConfigError(
      issues.map((issue) => ({ ...issue, ...(lineOf === null ? {} : { line: lineOf(issue.path) }) })),
      shown,
    )
  }
  const parsed = configFile.safeParse(value)
  if (parsed.success) return { file, content: parsed.data, fail }
  return fail(
    parsed.error.issues.map(({ path: at, message }) => ({ path: at as (string | number)[], message })),
  )
}

/** The configuration file of the working folder, absolute; null when there is none. */
export const findConfigFile = (): string | null =>
  configFileNames.map((name) => resolve(name)).find((candidate) => existsSync(candidate)) ?? null

function requireConfig(): string {
  const found = findConfigFile()
  if (found !== null) return found
  throw new ConfigFileError(
    'the configuration',
    configFileNames[0],
    'there is none in the working folder',
    'Go to the folder that holds it, or name the file with --config.',
  )
}

/** A configuration before it is checked. `lineOf` is null where lines are not known: in code. */
type Read = { readonly value: unknown; readonly lineOf: LocatedJson['lineOf'] | null }

/** Runs a configuration file that is code. It may import `rialto/config` wherever it lies. */
async function importFile(file: string, shown: string): Promise<Read> {
  // Only to say in one line why it cannot be read.
  await readText('the configuration', file)
  const own = fileURLToPath(import.meta.url)
  const jiti = createJiti(own, {
    fsCache: false,
    moduleCache: false,
    interopDefault: false,
    alias: { 'rialto/config': resolve(dirname(own), `defineConfig${extname(own)}`) },
  })
  const module = await jiti.import<{ default?: unknown }>(file).catch((error: unknown) => {
    throw new ConfigError([{ path: [], message: `does not run: ${describeError(error)}` }], shown, error)
  })
  if (module.default === undefined)
    throw new ConfigError(
      [{ path: [], message: 'has no default export: write "export default defineConfig({ … })"' }],
      shown,
    )
  return { value: module.default, lineOf: null }
}
