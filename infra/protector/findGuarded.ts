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

/** Which positions can be protected, and which cannot for want of a key. */
export type Guards = {
  readonly guarded: readonly Guarded[]
  readonly keyless: readonly { readonly config: AgentConfig; readonly error: InvalidInputError }[]
}

/**
 * The positions of agents that guard one and may act. An account of the agent's own key is the one whose key carries the
 * agent's name; of a Safe it is the protector's own key that is looked for. One whose key is missing keeps none of the
 * others from being protected.
 */
export function listGuarded({ agents, directory }: Pick<Config, 'agents' | 'directory'>): Guards {
  const keys = listKeys(join(directory, 'keystore'))
  const guarded: Guarded[] = []
  const keyless: Guards['keyless'][number][] = []
  for (const config of agents.filter(isProtected)) {
    const member = memberOf(config)
    const { label, key } = member ?? { label: config.id, key: config.key }
    const held = key.kind === 'keystore' ? keys.find((each) => each.label === label)?.address : key.address
    const acts = member === null ? (config.account ?? held) : held
    if (acts === undefined) {
      keyless.push({ config, error: noKey(label, key) })
    } else if (member === null) {
      guarded.push({ config, account: acts, policy: config.policy, route: null })
    } else {
      const { roleKey, policy } = member
      const { safe, modifier, multiSend } = member.safe
      const route = { kind: 'roles' as const, modifier, multiSend, roleKey, sender: acts }
      guarded.push({ config, account: safe, policy, route })
    }
  }
  return { guarded, keyless }
}

/**
 * Whom a protector is started for.
 *
 * @throws {InvalidInputError} when there is none to protect; `NO_KEY` when all of them lack a key, saying what to do.
 * @example findGuarded(config).keyless.map(({ config: { id } }) => id) // []
 */
export function findGuarded(config: Pick<Config, 'agents' | 'directory'>): Guards {
  if (!config.agents.some(isProtected))
    throw new InvalidInputError('No agent of the configuration guards a position and may act.', {
      fix: 'Add a lending-guardian whose policy and mode are "execute"; for a Safe its policy reserves something in protector.',
    })
  const guards = listGuarded(config)
  const [missing] = guards.keyless
  if (guards.guarded.length === 0 && missing !== undefined) throw missing.error
  return guards
}

const noKey = (label: string, key: KeyConfig): InvalidInputError =>
  new InvalidInputError(`There is no key for "${label}".`, {
    code: 'NO_KEY',
    fix:
      key.kind === 'keystore'
        ? `Make one with "rialto wallet create --label ${label}".`
        : 'Name its address in key.address.',
  })

const guards = ({ role, policy }: AgentConfig): boolean =>
  role === 'lending-guardian' && policy.mode === 'execute'
