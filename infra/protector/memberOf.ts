import type { Hash } from '../../runtime/core/ids.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import type { AgentConfig, KeyConfig, SafeConfig } from '../config/loadConfig.ts'

/** By whom a Safe is protected: a member of its modifier beside the agent's, with a key, a role and a reserve of its own. */
export type ProtectorMember = {
  /** Names the key. */
  readonly label: string
  readonly key: KeyConfig
  readonly roleKey: Hash
  readonly safe: SafeConfig
  /** What it may do, derived from the agent's policy. */
  readonly policy: Policy
}

/**
 * Who protects an agent's Safe.
 *
 * @returns null where nobody does by a key of its own: the account is no Safe, there is no position to guard, or the
 * policy reserves nothing
 * @example memberOf(guardian)?.label // 'guardian-protector'
 */
export function memberOf({
  role,
  safe,
  policy,
}: Pick<AgentConfig, 'role' | 'safe' | 'policy'>): ProtectorMember | null {
  if (safe === null || role !== 'lending-guardian') return null
  const derived = protectorPolicy(policy)
  return derived === null ? null : { ...safe.protector, safe, policy: derived }
}
