import type { Address, Hex } from 'viem'
import type { Token } from '../../runtime/core/addressBook.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { TokenAmount } from '../../runtime/core/units.ts'
import type { Condition } from './conditions.ts'

/** A Safe that an agent acts for through a Zodiac Roles modifier, as the configuration names it. */
export type SafeAccount = {
  readonly safe: Address
  readonly modifier: Address
  /** Not zero. */
  readonly roleKey: Hash
  /** What the Safe delegates a batch to. */
  readonly multiSend: Address
  /** Whose key the agent holds. Null: not known here, and then whoever is a member is taken for it. */
  readonly sender: Address | null
}

/**
 * What an allowance counts. Both have a counter of their own, of the size that the policy states for the token:
 * `moves` is what actions are about, whichever way it goes, as the signer's ledger counts it; `approvals` is what
 * others are let take, which is counted apart so that an action does not count twice.
 */
export type AllowanceKind = 'moves' | 'approvals'

/** A counter of the modifier, which is full again every period. */
export type RoleAllowance = {
  readonly key: Hex
  readonly kind: AllowanceKind
  readonly token: Token
  /** In the token's smallest unit. */
  readonly amount: TokenAmount
}

/** One function that the role may call, and with what. */
export type RoleFunction = {
  readonly name: string
  readonly selector: Hex
  /** Names and types of its parameters; of a struct, those of its fields. */
  readonly parameters: readonly RoleParameter[]
  readonly condition: Condition
}

export type RoleParameter = {
  readonly name: string
  readonly type: string
  readonly components?: readonly RoleParameter[]
}

/** A contract that the role may call. */
export type RoleTarget = {
  readonly address: Address
  /** As policy files call it. */
  readonly name: string
  readonly functions: readonly RoleFunction[]
}

/**
 * A policy, as far as a Roles modifier can hold it. The same policy and address book give the same role. One without
 * targets allows nothing: nobody may be in it.
 */
export type Role = {
  readonly chainId: number
  readonly account: SafeAccount
  readonly policy: { readonly name: string; readonly version: string }
  /** By name. None may be sent native coins or be delegated to. */
  readonly targets: readonly RoleTarget[]
  readonly allowances: readonly RoleAllowance[]
  /** Seconds after which every allowance is full again. */
  readonly period: number
}
