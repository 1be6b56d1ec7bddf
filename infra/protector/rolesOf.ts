import { type Address, isAddressEqual } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { SafeConfig } from '../config/loadConfig.ts'
import { compileProtectorRole, compileRole } from '../safe/compileRole.ts'
import type { Role } from '../safe/role.ts'
import type { ProtectorMember } from './memberOf.ts'

export type RolesParameters = {
  readonly safe: SafeConfig
  /** The agent's, whole. */
  readonly policy: Policy
  readonly book: AddressBook
  /** The address of the agent's key. */
  readonly sender: Address | null
  /** Null where nothing is reserved. */
  readonly protector: (ProtectorMember & { readonly sender: Address | null }) | null
}

/** The two roles that a policy comes to on the modifier of a Safe: the agent's, and its protector's. */
export function rolesOf({ safe: configured, policy, book, sender, protector }: RolesParameters): {
  readonly role: Role
  readonly protectorRole: Role
} {
  const { safe, modifier, multiSend, roleKey } = configured
  const shared = { safe, modifier, multiSend }
  return {
    role: compileRole(policy, book, { ...shared, roleKey, sender }),
    protectorRole: compileProtectorRole(protector?.policy ?? null, book, {
      ...shared,
      roleKey: configured.protector.roleKey,
      sender: protector?.sender ?? null,
    }),
  }
}

/** The roles of all these agents, and of their protectors, on a modifier: by key. */
export const roleKeysOn = (
  modifier: Address,
  agents: readonly { readonly safe: SafeConfig | null }[],
): readonly Hash[] =>
  agents.flatMap(({ safe }) =>
    safe !== null && isAddressEqual(safe.modifier, modifier) ? [safe.roleKey, safe.protector.roleKey] : [],
  )
