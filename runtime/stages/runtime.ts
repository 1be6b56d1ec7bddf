import type { Address, Hex } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Clock } from '../core/clock.ts'
import type { AgentId } from '../core/ids.ts'
import type { RolesRoute } from '../core/lifecycle.ts'
import type { Chain, Journal, Logger, Signer } from '../core/ports.ts'
import type { Policy } from '../guards/policy.ts'

/** All that the stages need of the world, handed in by whoever drives them. */
export type Runtime = {
  readonly chain: Chain
  readonly journal: Journal
  readonly signer: Signer
  readonly logger: Logger
  readonly book: AddressBook
  /** The time of day, as the signer and the owners have it: by it people are asked. */
  readonly clock: Clock
  /** Names this process in leases. */
  readonly holder: string
  /** Seconds between blocks: where the next block is simulated at. */
  readonly blockSeconds: bigint
  /** How long a run may think before it must fall back to its rule, in milliseconds. */
  readonly analyseTimeout: number
  /** Revert data as one line for a person. */
  explainRevert(data: Hex): string
  policyOf(agent: AgentId): Policy
  /** How an agent whose account is a Safe acts for it. Absent or null: the account sends its transactions itself. */
  routeOf?(agent: AgentId): RolesRoute | null
  /**
   * By whose key and nonces a protector acts for an agent's Safe. What it sends is followed like what the agent sends,
   * but nothing is signed by its key from here. Absent or null: it shares the agent's.
   */
  protectorOf?(agent: AgentId): Address | null
}
