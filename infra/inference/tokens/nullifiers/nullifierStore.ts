import type { Spend } from '../change/spend.ts'

/** What became of a spend that was to be reserved. */
export type Reservation =
  /** Nobody spent these tokens before, and now nobody else can. */
  | { readonly kind: 'fresh' }
  /** The same spend again. `change` is what it was settled with, or null when it is not settled (yet). */
  | { readonly kind: 'repeated'; readonly change: number | null }

/**
 * What a gateway remembers spent tokens with.
 *
 * An implementation **must**
 *
 * 1. reserve all nullifiers of a spend or none;
 * 2. answer `fresh` to exactly one of all spends that share a nullifier, however many come at once;
 * 3. answer anything, `repeated` too, only when the reservation is durable: it survives `kill -9` and a power cut;
 * 4. answer `repeated` to the same nullifiers, in any order, with the same binding, and with its change once settled;
 * 5. refuse a nullifier in any other spend with `NULLIFIER_SPENT`, and then reserve nothing;
 * 6. refuse a spend without nullifiers, or with one twice, with `NULLIFIER_TWICE`;
 * 7. settle a reserved spend once: again with the same change is nothing, with another is `SPEND_SETTLED`, and what
 *    is not reserved is `SPEND_UNKNOWN`; settled, too, means durable;
 * 8. fail closed: once a record could not be written, answer with an error whatever needs that record or a further
 *    one, until the store is opened anew.
 * 9. tell whether a nullifier is reserved without reserving it, for a client that recovers its wallet.
 *
 * A nullifier is forgotten never. A store lives as long as the keys whose tokens are spent in it: when those have
 * ended, their tokens are refused as such, and the store can be thrown away whole.
 */
export type NullifierStore = {
  /** @throws {TokenError} `NULLIFIER_SPENT`, `NULLIFIER_TWICE`, `TOKEN_FORMAT` or `LOG_UNWRITABLE` */
  reserve(spend: Spend): Promise<Reservation>
  /**
   * Records what a spend got back, before it gets it.
   *
   * @param change in tokens, at most as many as were spent
   * @throws {TokenError} `SPEND_UNKNOWN`, `SPEND_SETTLED` or `LOG_UNWRITABLE`
   */
  settle(spend: Spend, change: number): Promise<void>
  /**
   * Whether a token was spent, in any spend.
   *
   * @param nullifier 32 bytes
   * @throws {TokenError} `TOKEN_FORMAT` or `LOG_UNWRITABLE`
   */
  isSpent(nullifier: Uint8Array): Promise<boolean>
  /** Makes what waits durable and lets go of the resources. */
  close(): Promise<void>
}
