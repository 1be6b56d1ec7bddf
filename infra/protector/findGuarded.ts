import { join } from 'node:path'
import type { Address } from 'viem'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { RolesRoute } from '../../runtime/core/lifecycle.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { AgentConfig, Config, KeyConfig } from '../config/loadConfig.ts'
import { listKeys } from '../signer/keystore/openKeystore.ts'
import { memberOf } from './memberOf.ts'

/** A position to protect: whose it is, and by which key and limits. */
export type Guarded = {
  /** Of the agent that guards it. */
  readonly config: AgentConfig
  readonly account: Address
  /** What the protector may do: of an account of the agent's own key, what the agent may. */
  readonly policy: Policy
  /** Through what it acts where the account is a Safe: by a key of its own. Null otherwise. */
  readonly route: RolesRoute | null
}

/** Where an agent's account is a Safe for which its policy reserves nothing: nobody protects it. */
export const isUnprotected = (config: AgentConfig): boolean =>
  guards(config) && config.safe !== null && memberOf(config) === null

/** Whether an agent guards a position and may act, so that a protector stands behind it. */
export const isProtected = (config: AgentConfig): boolean => guards(config) && !isUnprotected(config)

/**
 * The positions of agents that guard one and may act. An account of the agent's own key is the one whose key carries the
 * agent's name; of a Safe it is the protector's own key that is looked for.
 *
 * @throws {InvalidInputError} when there is none to protect, or `NO_KEY` for a key that is missing, saying what to do.
 */
export function findGuarded({ agents, directory }: Pick<Config, 'agents' | 'directory'>): readonly Guarded[] {
  const guardians = agents.filter(isProtected)
  if (guardians.length === 0)
    throw new InvalidInputError('No agent of the configuration guards a position and may act.', {
      fix: 'Add a lending-guardian whose policy and mode are "execute"; for a Safe its policy reserves something in protector.',
    })
  const keys = listKeys(join(directory, 'keystore'))
  const addressOf = (label: string, key: KeyConfig): Address => {
    const held = key.kind === 'keystore' ? keys.find((each) => each.label === label)?.address : key.address
    if (held !== undefined) return held
    throw new InvalidInputError(`There is no key for "${label}".`, {
      code: 'NO_KEY',
      fix:
        key.kind === 'keystore'
          ? `Make one with "rialto wallet create --label ${label}".`
          : 'Name its address in key.address.',
    })
  }
  return guardians.map((config) => {
    const member = memberOf(config)
    if (member === null) {
      const account = config.account ?? addressOf(config.id, config.key)
      return { config, account, policy: config.policy, route: null }
    }
    const { label, key, roleKey, policy } = member
    const { safe, modifier, multiSend } = member.safe
    const sender = addressOf(label, key)
    return { config, account: safe, policy, route: { kind: 'roles', modifier, multiSend, roleKey, sender } }
  })
}

const guards = ({ role, policy }: AgentConfig): boolean =>
  role === 'lending-guardian' && policy.mode === 'execute'
