import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { type Address, getAddress, isAddress } from 'viem'
import type { AddressBook } from '../../../../runtime/core/addressBook.ts'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import type { Hash } from '../../../../runtime/core/ids.ts'
import type { Policy } from '../../../../runtime/guards/policy.ts'
import { createRpc, type Rpc } from '../../../chain/rpc.ts'
import {
  type AgentConfig,
  type ChainConfig,
  type Config,
  type KeyConfig,
  loadConfig,
  type SafeConfig,
} from '../../../config/loadConfig.ts'
import { loadEnvironment } from '../../../config/loadEnvironment.ts'
import { loadPolicy } from '../../../config/loadPolicy.ts'
import { memberOf, type ProtectorMember } from '../../../protector/memberOf.ts'
import { roleKeysOn, rolesOf } from '../../../protector/rolesOf.ts'
import type { Role } from '../../../safe/role.ts'
import { listKeys } from '../../../signer/keystore/openKeystore.ts'

export type PolicyOptions = {
  readonly config?: string
  readonly agent?: string
  readonly policy?: string
  readonly member?: Address
  readonly protectorMember?: Address
  readonly json?: boolean
}

/** Adds the options that every command about a policy has. */
export const policyOptions = (command: Command): Command =>
  command
    .option('--agent <id>', 'whose policy (default: the one agent that there is)')
    .option('--policy <file>', "another policy file than the agent's own")
    .option(
      '--member <address>',
      "of the agent's key, where it is not in the keystore (default: the key with the agent's label)",
      parseAddress,
    )
    .option(
      '--protector-member <address>',
      "of the protector's key, where it is not in the keystore (default: the one that the configuration names)",
      parseAddress,
    )
    .option('--config <file>', 'the configuration (default: rialto.config.ts in this folder)')
    .option('--json', 'print the result as JSON')

/** An address on the command line. @throws {InvalidArgumentError} */
export function parseAddress(text: string): Address {
  if (isAddress(text)) return getAddress(text)
  throw new InvalidArgumentError('It must be an address with the right checksum.')
}

const NO_SAFE_FIX =
  'Set its account to { safe, modifier, roleKey, multiSend }; rialto safe create makes them, and prints it.'

/** An agent with its policy as the file has it, whatever mode the configuration holds it to. */
export type PolicyTarget = {
  readonly config: Config
  readonly agent: AgentConfig
  readonly policy: Policy
  /** The address of the agent's key; null when there is none yet. */
  readonly sender: Address | null
  /** Who protects the agent's Safe; null where nobody does by a key of its own. */
  readonly protector: (ProtectorMember & { readonly sender: Address | null }) | null
}

/**
 * The agent that is meant, and its policy.
 *
 * @param fits which agents can be meant
 * @throws {InvalidInputError} when it is not clear which.
 */
export async function findPolicy(
  options: PolicyOptions,
  fits: (agent: AgentConfig) => boolean = () => true,
): Promise<PolicyTarget> {
  const config = await loadConfig(options.config, loadEnvironment(process.env))
  const agent = findAgent(config, options.agent, fits)
  const policy = await loadPolicy(options.policy ?? agent.policyPath)
  const keys = listKeys(join(config.directory, 'keystore'))
  const addressOf = (label: string, key: KeyConfig): Address | null =>
    (key.kind === 'keystore' ? keys.find((each) => each.label === label)?.address : key.address) ?? null
  const member = memberOf({ ...agent, policy })
  return {
    ...{ config, agent, policy },
    sender: options.member ?? addressOf(agent.id, agent.key),
    protector:
      member === null
        ? null
        : { ...member, sender: options.protectorMember ?? addressOf(member.label, member.key) },
  }
}

function findAgent(
  config: Config,
  named: string | undefined,
  fits: (agent: AgentConfig) => boolean,
): AgentConfig {
  const fitting = config.agents.filter(fits)
  const [only, ...others] = named === undefined ? fitting : config.agents.filter(({ id }) => id === named)
  if (only !== undefined && others.length === 0) return only
  const ids = (agents: readonly AgentConfig[]) => agents.map(({ id }) => id).join(', ')
  if (named !== undefined)
    throw new InvalidInputError(`There is no agent "${named}" in the configuration.`, {
      fix: `Name one of: ${ids(config.agents)}.`,
    })
  if (only !== undefined)
    throw new InvalidInputError(`It is not clear which agent is meant: ${ids(fitting)}.`, {
      fix: 'Name it with --agent.',
    })
  throw new InvalidInputError('No agent of the configuration has a Safe for its account.', {
    code: 'NO_SAFE',
    fix: NO_SAFE_FIX,
  })
}

/** What a policy comes to on its chain. */
export type RoleTarget = PolicyTarget & {
  readonly chain: Extract<ChainConfig, { kind: 'rpc' }>
  readonly safe: SafeConfig
  readonly book: AddressBook
  readonly role: Role
  /** Without targets where nothing is reserved: nobody may be in it then. */
  readonly protectorRole: Role
  /** Keys of the roles that the agents of the configuration have on the modifier. */
  readonly otherRoles: readonly Hash[]
}

/** The agent that is meant, which has a Safe, and the role that its policy comes to. */
export async function findRole(options: PolicyOptions): Promise<RoleTarget> {
  const target = await findPolicy(options, ({ safe }) => safe !== null)
  const { config, agent, policy, sender, protector } = target
  const { safe } = agent
  if (safe === null || config.chain.kind !== 'rpc')
    throw new InvalidInputError(`The account of agent "${agent.id}" is no Safe.`, {
      code: 'NO_SAFE',
      fix: NO_SAFE_FIX,
    })
  const book = config.chain.addressBook
  const { role, protectorRole } = rolesOf({ safe, policy, book, sender, protector })
  const otherRoles = roleKeysOn(safe.modifier, config.agents)
  return { ...target, chain: config.chain, safe, book, role, protectorRole, otherRoles }
}

/** Milliseconds for one request: logs of years take their time. */
const TIMEOUT = 60_000

/** The chain of the configuration, for reads that no run of an agent makes. */
export const openRpc = (chain: Extract<ChainConfig, { kind: 'rpc' }>): Rpc =>
  createRpc({ url: new URL(chain.rpcUrl), timeout: TIMEOUT, retries: 2 })
