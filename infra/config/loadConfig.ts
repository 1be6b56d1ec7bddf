import { existsSync } from 'node:fs'
import { dirname, extname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import type { Address } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { describeError } from '../../runtime/core/errors.ts'
import { type AgentId, agentId } from '../../runtime/core/ids.ts'
import { assertPolicyFits } from '../../runtime/guards/assertPolicyFits.ts'
import { agentModes, type Policy, withMode } from '../../runtime/guards/policy.ts'
import { type AgentRole, configFile, type ParsedConfigFile } from './configFile.ts'
import { ConfigError, ConfigFileError, type ConfigIssue } from './errors.ts'
import { loadAddressBook } from './loadAddressBook.ts'
import { type Environment, emptyEnvironment } from './loadEnvironment.ts'
import { loadPolicy } from './loadPolicy.ts'
import { JsonSyntaxError, type LocatedJson, readJson } from './readJson.ts'
import { readText } from './readText.ts'

/** Seconds between blocks where the configuration does not say: Ethereum's. */
const BLOCK_SECONDS = 12

/** Looked for in the working folder, in this order. */
export const configFileNames = [
  'rialto.config.ts',
  'rialto.config.mts',
  'rialto.config.js',
  'rialto.config.mjs',
  'rialto.config.json',
] as const

export type AgentConfig = {
  readonly id: AgentId
  readonly role: AgentRole
  /** Null: the account that the signer makes for it. */
  readonly account: Address | null
  /** Its mode is the configuration's where that is stricter. */
  readonly policy: Policy
  /** Absolute. */
  readonly policyPath: string
}

export type ChainConfig =
  | { readonly kind: 'world' }
  | {
      readonly kind: 'rpc'
      /** May hold a key: never shown but through `redactUrl`. */
      readonly rpcUrl: string
      readonly chainId: number
      readonly addressBook: AddressBook
      readonly blockSeconds: number
    }

/** The configuration with the environment's overrides, its policies and its address book read. */
export type Config = {
  /** The file it was read from, absolute. */
  readonly path: string
  /** Where Rialto keeps everything, absolute. */
  readonly directory: string
  readonly chain: ChainConfig
  readonly agents: readonly AgentConfig[]
  /** `url` null: the reference analyst on loopback. */
  readonly inference: {
    readonly url: string | null
    readonly model: string | null
    readonly key: string | null
  }
  /** Null: PGlite in the directory. */
  readonly store: { readonly databaseUrl: string | null }
  /** Null: an embedded Valkey. */
  readonly queue: { readonly redisUrl: string | null }
}

/**
 * Reads the configuration, every policy it names and its address book, and holds them against each other, so that
 * whatever is wrong is said before anything starts.
 *
 * @param path of the file; without one, `rialto.config.{ts,mts,js,mjs,json}` in the working folder
 * @param environment what overrides the file
 * @throws {ConfigError} naming all that is wrong in the file, with lines where it is JSON.
 * @throws {PolicyError} for a policy that is wrong, or names contracts that the chain's address book does not know.
 * @throws {ConfigFileError} when a file is not there or cannot be read.
 * @example (await loadConfig(undefined, loadEnvironment(process.env))).chain.kind // 'world'
 */
export async function loadConfig(
  path?: string,
  environment: Environment = emptyEnvironment,
): Promise<Config> {
  const file = path === undefined ? findConfig(process.cwd()) : resolve(path)
  const shown = relative(process.cwd(), file) || file
  const { value, lineOf } =
    extname(file) === '.json' ? await readJsonFile(file, shown) : await importFile(file, shown)
  const fail = (issues: readonly ConfigIssue[]): never => {
    throw new ConfigError(
      issues.map((issue) => ({ ...issue, ...(lineOf === null ? {} : { line: lineOf(issue.path) }) })),
      shown,
    )
  }

  const parsed = configFile.safeParse(value)
  if (!parsed.success)
    return fail(
      parsed.error.issues.map((issue) => ({
        path: issue.path as (string | number)[],
        message: issue.message,
      })),
    )
  const issues = [...contradictions(parsed.data, environment)]
  if (issues.length > 0) return fail(issues)

  const folder = dirname(file)
  const chain = await resolveChain(parsed.data, environment, folder, fail)
  const agents: AgentConfig[] = []
  for (const [index, { id, role, account, policy: named, mode }] of parsed.data.agents.entries()) {
    const policyPath = resolve(folder, named)
    const policy = await loadPolicy(relative(process.cwd(), policyPath) || policyPath)
    if (chain.kind === 'rpc') assertPolicyFits(policy, chain.addressBook, named)
    if (mode !== undefined && agentModes.indexOf(mode) > agentModes.indexOf(policy.mode))
      fail([
        {
          path: ['agents', index, 'mode'],
          message: `is "${mode}", but its policy allows no more than "${policy.mode}": lower it, or change the policy`,
        },
      ])
    agents.push({
      id: agentId(id),
      role,
      account: account ?? null,
      policy: mode === undefined ? policy : withMode(policy, mode),
      policyPath,
    })
  }

  return {
    path: file,
    directory:
      environment.directory === null
        ? resolve(folder, parsed.data.directory ?? '.rialto')
        : resolve(environment.directory),
    chain,
    agents,
    inference: {
      url: environment.inferenceUrl ?? parsed.data.inference?.url ?? null,
      model: environment.inferenceModel ?? parsed.data.inference?.model ?? null,
      key: environment.inferenceKey,
    },
    store: { databaseUrl: environment.databaseUrl ?? parsed.data.store?.databaseUrl ?? null },
    queue: { redisUrl: environment.redisUrl ?? parsed.data.queue?.redisUrl ?? null },
  }
}

/** @throws {ConfigFileError} when the folder holds none. */
function findConfig(folder: string): string {
  const found = configFileNames
    .map((name) => resolve(folder, name))
    .find((candidate) => existsSync(candidate))
  if (found !== undefined) return found
  throw new ConfigFileError(
    'the configuration',
    configFileNames[0],
    'there is none in the working folder',
    'Go to the folder that holds it, or name the file with --config.',
  )
}

/** A configuration before it is checked. `lineOf` is null where lines are not known: in code. */
type Read = { readonly value: unknown; readonly lineOf: LocatedJson['lineOf'] | null }

async function readJsonFile(file: string, shown: string): Promise<Read> {
  const text = await readText('the configuration', file)
  try {
    return readJson(text)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const message = `is no JSON: ${error.reason} (column ${error.column})`
    throw new ConfigError([{ path: [], message, line: error.line }], shown, error)
  }
}

/** Runs a configuration file that is code. It may import `rialto/config` wherever it lies. */
async function importFile(file: string, shown: string): Promise<Read> {
  await readText('the configuration', file)
  const own = fileURLToPath(import.meta.url)
  const jiti = createJiti(own, {
    fsCache: false,
    moduleCache: false,
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

/** What cannot be meant, although each value alone is well formed. */
function* contradictions(config: ParsedConfigFile, environment: Environment): Generator<ConfigIssue> {
  const ids = config.agents.map(({ id }) => id)
  for (const [index, id] of ids.entries())
    if (ids.indexOf(id) !== index)
      yield {
        path: ['agents', index, 'id'],
        message: `is "${id}", which another agent has: give it a name of its own`,
      }
  const chain = config.chain ?? { kind: 'world' as const }
  if (chain.kind === 'world' && environment.rpcUrl !== null)
    yield {
      path: ['chain'],
      message: 'is the local world, but RIALTO_RPC_URL is set: unset it, or set chain to { kind: "rpc", … }',
    }
  if (chain.kind === 'rpc' && chain.rpcUrl === undefined && environment.rpcUrl === null)
    yield { path: ['chain', 'rpcUrl'], message: 'is missing: set it, or RIALTO_RPC_URL' }
  const url = environment.inferenceUrl ?? config.inference?.url
  const model = environment.inferenceModel ?? config.inference?.model
  if (url !== undefined && model === undefined)
    yield {
      path: ['inference', 'model'],
      message: 'is missing: name a model of the server, here or in RIALTO_INFERENCE_MODEL',
    }
  if (url === undefined && model !== undefined)
    yield {
      path: ['inference', 'url'],
      message: `is missing, and nothing else serves the model "${model}": set it, or RIALTO_INFERENCE_URL, or name no model`,
    }
  if (url === undefined && environment.inferenceKey !== null)
    yield {
      path: ['inference', 'url'],
      message:
        'is missing, although RIALTO_INFERENCE_KEY is set: set it, or RIALTO_INFERENCE_URL, or unset the key',
    }
}

async function resolveChain(
  config: ParsedConfigFile,
  environment: Environment,
  folder: string,
  fail: (issues: readonly ConfigIssue[]) => never,
): Promise<ChainConfig> {
  const chain = config.chain ?? { kind: 'world' as const }
  if (chain.kind === 'world') return chain
  const path = resolve(folder, chain.addressBook)
  const addressBook = await loadAddressBook(relative(process.cwd(), path) || path)
  if (addressBook.chainId !== chain.chainId)
    fail([
      {
        path: ['chain', 'chainId'],
        message: `is ${chain.chainId}, but the address book is for chain ${addressBook.chainId}: correct one of them`,
      },
    ])
  const rpcUrl = environment.rpcUrl ?? chain.rpcUrl
  if (rpcUrl === undefined)
    return fail([{ path: ['chain', 'rpcUrl'], message: 'is missing: set it, or RIALTO_RPC_URL' }])
  return {
    kind: 'rpc',
    rpcUrl,
    chainId: chain.chainId,
    addressBook,
    blockSeconds: chain.blockSeconds ?? BLOCK_SECONDS,
  }
}
