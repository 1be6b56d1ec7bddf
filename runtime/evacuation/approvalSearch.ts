import type { Address } from 'viem'

/** Somebody who was let take an account's token once. What is left of that is read from the chain. */
export type ApprovalName = {
  /** A token or aToken; a variable debt token where credit was delegated. */
  readonly token: Address
  readonly spender: Address
}

/**
 * A search for those whom the address book does not list, beside an evacuation that it must not hold up: contracts
 * cannot list their allowances, so events say who was ever named, and how much that still is the contract says.
 *
 * Musts: `found` never forgets; `isOver` turns true within a bounded time, whatever the nodes do, and stays so.
 */
export type ApprovalSearch = {
  found(): readonly ApprovalName[]
  isOver(): boolean
}

/** Nobody is looked for. */
export const noSearch: ApprovalSearch = { found: () => [], isOver: () => true }
