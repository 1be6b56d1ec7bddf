import { dirname, resolve } from 'node:path'
import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { type AgentId, agentId, type Hash } from '../../runtime/core/ids.ts'
import { assertPolicyFits } from '../../runtime/guards/assertPolicyFits.ts'
import { evacuationFault } from '../../runtime/guards/evacuation.ts'
import { agentModes, type Policy, withMode } from '../../runtime/guards/policy.ts'
import { isLoopback } from '../http/isLoopback.ts'
import type { Privacy } from '../inference/protocol/network/privacy.ts'
import type { AgentRole, ParsedConfigFile } from './configFile.ts'
import type { ConfigIssue } from './errors.ts'
import { directoryOf } from './findDirectory.ts'
import { loadAddressBook } from './loadAddressBook.ts'
import type { Environment } from './loadEnvironment.ts'
import { loadNetwork, type NetworkConfig } from './loadNetwork.ts'
import { loadPolicy } from './loadPolicy.ts'
import { protectorRoleKey } from './protectorRoleKey.ts'
import { readConfigFile } from './readConfigFile.ts'
import { type NodesConfig, nodeContradictions, resolveNodes } from './resolveNodes.ts'
import { shownPath } from './shownPath.ts'

/** Seconds between blocks where the configuration does not say: Ethereum's. */
const BLOCK_SECONDS = 12

export type AgentConfig = {
  readonly id: AgentId
  readonly role: AgentRole
  /** Null: the account that the signer makes for it. Of a Safe, its address. */
  readonly account: Address | null
  /** Where the key is that acts. `keystore`: in the folder's, under the agent's id. */
  readonly key: KeyConfig
  /** How the account is made to act where it is a Safe; null where it is the agent's own. */
  readonly safe: SafeConfig | null
  /** Where an evacuation sends everything; null: it cannot be evacuated. */
  readonly evacuateTo: Address | null
  /** Its mode is the configuration's where that is stricter. */
  readonly policy: Policy
  /** Absolute. */
  readonly policyPath: string
}

/** A key: in the keystore, or elsewhere with the signer judging in front of it. */
export type KeyConfig =
  | { readonly kind: 'keystore' }
  | {
      readonly kind: 'remote'
      readonly url: string
      readonly address: Address
      readonly dialect?: 'web3signer' | 'clef' | undefined
    }
  | {
      readonly kind: 'kms'
      readonly keyId: string
      readonly region?: string | undefined
      readonly address?: Address | undefined
    }

/** A Safe, and the role in which an agent acts for it through a Zodiac Roles modifier. */
export type SafeConfig = {
  readonly safe: Address
  readonly modifier: Address
  readonly roleKey: Hash
  readonly multiSend: Address
  /** The block in which the modifier was made; null where it is not said. */
  readonly firstBlock: bigint | null
  /** The other member of the modifier, by whose key the protector acts, and its role. */
  readonly protector: {
    /** Names the key for the signer, and in the keystore where it is there. */
    readonly label: string
    readonly key: KeyConfig
    readonly roleKey: Hash
  }
}

export type ChainConfig =
  | { readonly kind: 'world' }
  | (NodesConfig & {
      readonly kind: 'rpc'
      /** The first of the nodes, for what needs no more than one. May hold a key: never shown but through `redactUrl`. */
      readonly rpcUrl: string
      readonly chainId: number
      readonly addressBook: AddressBook
      readonly blockSeconds: number
    })

/** What the agents think with. With neither `url` nor `network`: the private network on loopback that ships. */
export type InferenceConfig = {
  /** A model on this machine. */
  readonly url: string | null
  readonly model: string | null
  /** Secret: sent to `url` as its bearer token. */
  readonly key: string | null
  readonly network: NetworkConfig | null
  /** Secret: of the wallet that pays the network. Null: one is made and kept beside it. */
  readonly passphrase: string | null
  /** The weakest word that is accepted. */
  readonly privacy: Privacy
}

/** Where the keystore's passphrase comes from on a real chain. A file's path is absolute. */
export type PassphraseConfig =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number }
  | { readonly kind: 'prompt' }

/** The configuration with the environment's overrides, its policies and its address book read. */
export type Config = {
  /** The file it was read from, absolute. */
  readonly path: string
  /** Where Rialto keeps everything, absolute. */
  readonly directory: string
  readonly chain: ChainConfig
  readonly agents: readonly AgentConfig[]
  readonly inference: InferenceConfig
  /** Null: PGlite in the directory. */
  readonly store: { readonly databaseUrl: string | null }
  /** Null: an embedded Valkey. */
  readonly queue: { readonly redisUrl: string | null }
  /** Null: it is asked for on the terminal. */
  readonly signer: { readonly passphrase: PassphraseConfig | null }
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
export async function loadConfig(path?: string, environment: Environment = {}): Promise<Config> {
  const { file, content, fail } = await readConfigFile(path)
  const issues = [...contradictions(content, environment)]
  if (issues.length > 0) return fail(issues)

  const folder = dirname(file)
  const chain = await resolveChain(content, environment, folder, fail)
  const agents: AgentConfig[] = []
  for (const [
    index,
    { id, role, account, key, evacuateTo, policy: named, mode },
  ] of content.agents.entries()) {
    const policyPath = resolve(folder, named)
    const written = await loadPolicy(policyPath)
    const policy = mode === undefined || isBeyond(mode, written) ? written : withMode(written, mode)
    if (chain.kind === 'rpc') assertPolicyFits(policy, chain.addressBook, shownPath(policyPath))
    const wrong = evacuateTo === undefined ? null : destinationFault(evacuateTo, account, chain)
    if (wrong !== null) fail([{ path: ['agents', index, 'evacuateTo'], message: wrong }])
    if (mode !== undefined && isBeyond(mode, written))
      fail([
        {
          path: ['agents', index, 'mode'],
          message: `is "${mode}", but its policy allows no more than "${written.mode}": lower it, or change the policy`,
        },
      ])
    agents.push({
      ...resolveActor({ id, account, key }),
      role,
      evacuateTo: evacuateTo ?? null,
      policy,
      policyPath,
    })
  }

  return {
    path: file,
    directory: directoryOf(environment, file, content),
    chain,
    agents,
    inference: await resolveInference(content, environment, folder, fail),
    store: { databaseUrl: environment.databaseUrl ?? content.store?.databaseUrl ?? null },
    queue: { redisUrl: environment.redisUrl ?? content.queue?.redisUrl ?? null },
    signer: { passphrase: passphraseOf(content, folder) },
  }
}

/**
 * Reads the chain of a configuration alone: what is made before a policy can name it must not wait for the policy.
 *
 * @param path as for {@link loadConfig}
 * @throws {ConfigError | ConfigFileError} when chain or address book are wrong.
 * @example (await loadChain()).kind // 'world'
 */
export async function loadChain(path?: string, environment: Environment = {}): Promise<ChainConfig> {
  const { file, content, fail } = await readConfigFile(path)
  const issues = [...contradictions(content, environment)].filter(({ path: [part] }) => part === 'chain')
  return issues.length > 0 ? fail(issues) : resolveChain(content, environment, dirname(file), fail)
}

const isBeyond = (mode: Policy['mode'], policy: Policy): boolean =>
  agentModes.indexOf(mode) > agentModes.indexOf(policy.mode)

/** Why funds must not be sent there; null when they may be. */
function destinationFault(
  destination: Address,
  account: ParsedConfigFile['agents'][number]['account'],
  chain: ChainConfig,
): string | null {
  const own = typeof account === 'object' ? account.safe : account
  const fault =
    own !== undefined && isAddressEqual(own, destination)
      ? 'is the account that would be evacuated'
      : chain.kind === 'rpc'
        ? evacuationFault(destination, chain.addressBook)
        : null
  return fault === null ? null : `${fault}: name an account whose key the owner holds`
}

/**
 * Whom an agent of a configuration file acts for, and by which keys.
 *
 * @example resolveActor({ id: 'guardian' }).key.kind // 'keystore'
 */
export const resolveActor = ({
  id,
  account,
  key,
}: Pick<ParsedConfigFile['agents'][number], 'id' | 'account' | 'key'>): Pick<
  AgentConfig,
  'id' | 'account' | 'safe' | 'key'
> => ({ id: agentId(id), ...resolveAccount(id, account), key: key ?? { kind: 'keystore' } })

const resolveAccount = (id: string, account: AccountEntry): Pick<AgentConfig, 'account' | 'safe'> => {
  if (account === undefined || typeof account === 'string') return { account: account ?? null, safe: null }
  const { firstBlock, protector, ...safe } = account
  const { key = { kind: 'keystore' as const }, roleKey } = protector ?? {}
  return {
    account: safe.safe,
    safe: {
      ...safe,
      firstBlock: firstBlock === undefined ? null : BigInt(firstBlock),
      protector: {
        label: protectorLabel(id, account) ?? '',
        key: key.kind === 'keystore' ? { kind: 'keystore' } : key,
        roleKey: roleKey ?? protectorRoleKey(safe.roleKey),
      },
    },
  }
}

type AccountEntry = ParsedConfigFile['agents'][number]['account']

/** The name of the protector's key, wherever it is; null for an agent without a Safe. */
function protectorLabel(id: string, account: AccountEntry): string | null {
  if (account === undefined || typeof account === 'string') return null
  const key = account.protector?.key
  return (key?.kind === 'keystore' ? key.label : undefined) ?? `${id}-protector`
}

/** What a configuration file says about the keystore's passphrase. */
export function passphraseOf(content: ParsedConfigFile, folder: string): PassphraseConfig | null {
  const said = content.signer?.passphrase ?? null
  return said?.kind === 'file' ? { kind: 'file', path: resolve(folder, said.path) } : said
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
  yield* protectorContradictions(config)
  const chain = config.chain ?? { kind: 'world' as const }
  for (const [index, { account }] of config.agents.entries())
    if (chain.kind === 'world' && typeof account === 'object')
      yield {
        path: ['agents', index, 'account'],
        message: 'is a Safe, and the local world has none: remove it, or set chain to { kind: "rpc", … }',
      }
  if (chain.kind === 'world' && environment.rpcUrl !== undefined)
    yield {
      path: ['chain'],
      message: 'is the local world, but RIALTO_RPC_URL is set: unset it, or set chain to { kind: "rpc", … }',
    }
  if (chain.kind === 'rpc') yield* nodeContradictions(chain, environment)
  const url = environment.inferenceUrl ?? config.inference?.url
  const model = environment.inferenceModel ?? config.inference?.model
  const network = environment.network ?? config.inference?.network
  if (url !== undefined && network !== undefined)
    yield {
      path: ['inference', 'network'],
      message: 'is set, and so is a URL: a model is either on this machine or in a network; remove one',
    }
  if (url !== undefined && !isLoopback(new URL(url)))
    yield {
      path: ['inference', 'url'],
      message:
        'is another machine, which would read every prompt and see who asks: name a model on this machine, or a private network in inference.network',
    }
  if ((url !== undefined || network !== undefined) && model === undefined)
    yield {
      path: ['inference', 'model'],
      message: `is missing: name a model of the ${url === undefined ? 'network' : 'server'}, here or in RIALTO_INFERENCE_MODEL`,
    }
  if (url === undefined && network === undefined && model !== undefined)
    yield {
      path: ['inference', 'url'],
      message: `is missing, and nothing else serves the model "${model}": set it, or RIALTO_INFERENCE_URL, or inference.network, or name no model`,
    }
  if (url === undefined && environment.inferenceKey !== undefined)
    yield {
      path: ['inference', 'url'],
      message:
        'is missing, although RIALTO_INFERENCE_KEY is set: set it, or RIALTO_INFERENCE_URL, or unset the key',
    }
}

/** A protector that shared its key or its role with an agent would wait on what it replaces. */
function* protectorContradictions({ agents }: ParsedConfigFile): Generator<ConfigIssue> {
  const labels = agents.map(({ id, account }) => protectorLabel(id, account))
  for (const [index, { id, account }] of agents.entries()) {
    const label = labels[index]
    if (label == null || typeof account !== 'object') continue
    const path = ['agents', index, 'account', 'protector']
    const other = agents.find((each) => each.id === label)?.id ?? agents[labels.indexOf(label)]?.id ?? id
    if (other !== id || label === id)
      yield {
        path: [...path, 'key', 'label'],
        message: `is "${label}", a key that agent "${other}" has: name another in { kind: "keystore", label }`,
      }
    if (label.length > 63)
      yield {
        path: [...path, 'key', 'label'],
        message: `is missing, and "${label}" is too long for one: name it in { kind: "keystore", label }`,
      }
    if (account.protector?.roleKey === account.roleKey)
      yield {
        path: [...path, 'roleKey'],
        message: "is the agent's own, and the protector has a role of its own: name another, or leave it out",
      }
  }
}

/** @throws {ConfigError} when what is configured promises less than what is asked for. */
async function resolveInference(
  { inference = {} }: ParsedConfigFile,
  environment: Environment,
  folder: string,
  fail: (issues: readonly ConfigIssue[]) => never,
): Promise<InferenceConfig> {
  const url = environment.inferenceUrl ?? inference.url ?? null
  // What the environment names lies where the command is run, what the file names beside the file.
  const path =
    environment.network ?? (inference.network === undefined ? null : resolve(folder, inference.network))
  const network = path === null ? null : await loadNetwork(path)
  const privacy = inference.privacy ?? (url === null ? 'private' : 'local')
  if (url === null && privacy === 'local')
    fail([
      {
        path: ['inference', 'privacy'],
        message: 'is "local", but no model of this machine is named: set inference.url',
      },
    ])
  return {
    url,
    model: environment.inferenceModel ?? inference.model ?? null,
    key: environment.inferenceKey ?? null,
    network,
    passphrase: environment.walletPassphrase ?? null,
    privacy,
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
  const addressBook = await loadAddressBook(resolve(folder, chain.addressBook))
  if (addressBook.chainId !== chain.chainId)
    fail([
      {
        path: ['chain', 'chainId'],
        message: `is ${chain.chainId}, but the address book is for chain ${addressBook.chainId}: correct one of them`,
      },
    ])
  const nodes = resolveNodes(chain, environment)
  const [first] = nodes.nodes
  if (first === undefined)
    return fail([{ path: ['chain', 'rpcUrl'], message: 'is missing: set it, or RIALTO_RPC_URL' }])
  return {
    kind: 'rpc',
    ...nodes,
    rpcUrl: first.url,
    chainId: chain.chainId,
    addressBook,
    blockSeconds: chain.blockSeconds ?? BLOCK_SECONDS,
  }
}
