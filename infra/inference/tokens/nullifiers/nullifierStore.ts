import type { Spend } from '../change/spend.ts'

/** What became of a spend that was to be reserved. */
export type Reservation =
  /** Nobody spent these tokens before, and now nobody else can. */
  | { readonly kind: 'fresh' }
  /** The same spend again, settled: `change` is what it got back, in tokens. */
  | { readonly kind: 'repeated'; readonly change: number }
  /** The same spend again, not settled: somebody works on it, or whoever did is gone. */
  | {
      readonly kind: 'repeated'
      readonly change: null
      /** Milliseconds since it was reserved, by the store's own clock and never negative. */
      readonly age: number
      /** {@link NullifierStore.owner} of the store that reserved it. */
      readonly owner: string
    }

/**
 * What a gateway remembers spent tokens with.
 *
 * An implementation **must**
 *
 * 1. reserve all nullifiers of a spend or none;
 * 2. answer `fresh` to exactly one of all spends that share a nullifier, however many come at once, from however many
 *    processes share the store;
 * 3. answer anything, `repeated` too, only when the reservation is durable: it survives `kill -9` and a power cut;
 * 4. answer `repeated` to the same nullifiers, in any order, with the same binding, and with its change once settled;
 * 5. refuse a nullifier in any other spend with `NULLIFIER_SPENT`, and then reserve nothing;
 * 6. refuse a spend without nullifiers, or with one twice, with `NULLIFIER_TWICE`;
 * 7. settle a reserved spend once: again with the same change is nothing, with another is `SPEND_SETTLED`, and what
 *    is not reserved is `SPEND_UNKNOWN`; settled, too, means durable;
 * 8. fail closed: while a record cannot be made durable, answer with an error whatever needs that record or a further
 *    one, and take a record whose fate is not known neither for made nor for lost. A store whose medium cannot be
 *    asked again (a file after a failed sync) stays so until it is opened anew;
 * 9. tell whether a nullifier is reserved without reserving it, for a client that recovers its wallet;
 * 10. tell how long ago a repeated spend was reserved that is not settled, and by which opening of the store, in this
 *     and every later opening;
 * 11. record with a settlement, in the same record, what was signed as change, and tell it ever after.
 *
 * A nullifier is forgotten never. A store lives as long as the keys whose tokens are spent in it: when those have
 * ended, their tokens are refused as such, and the store can be thrown away whole.
 */
export type NullifierStore = {
  /** Names this opening of the store to whoever finds its reservations; it tells nothing else. */
  readonly owner: string
  /** @throws {TokenError} `NULLIFIER_SPENT`, `NULLIFIER_TWICE`, `TOKEN_FORMAT`, `LOG_UNWRITABLE` or `STORE_UNAVAILABLE` */
  reserve(spend: Spend): Promise<Reservation>
  /**
   * Records what a spend got back, before it gets it.
   *
   * @param change in tokens, at most as many as were spent
   * @param changeDigests {@link changeDigest} of each blinded message that is signed, in order: `change` of them, no
   * two the same
   * @throws {TokenError} `SPEND_UNKNOWN`, `SPEND_SETTLED`, `NULLIFIER_SPENT`, `TOKEN_FORMAT`, `LOG_UNWRITABLE` or
   * `STORE_UNAVAILABLE`
   */
  settle(spend: Spend, change: number, changeDigests: readonly Uint8Array[]): Promise<void>
  /**
   * Whether a token was spent, in any spend.
   *
   * @param nullifier 32 bytes
   * @throws {TokenError} `TOKEN_FORMAT`, `LOG_UNWRITABLE` or `STORE_UNAVAILABLE`
   */
  isSpent(nullifier: Uint8Array): Promise<boolean>
  /**
   * Whether a blinded message was signed as change, in any spend: then it may be signed again, for a client that
   * recovers its wallet, and gives the same token.
   *
   * @param digest {@link changeDigest} of it, 16 bytes
   * @throws {TokenError} `TOKEN_FORMAT`, `LOG_UNWRITABLE` or `STORE_UNAVAILABLE`
   */
  wasSigned(digest: Uint8Array): Promise<boolean>
  /** Makes what waits durable and lets go of the resources. */
  close(): Promise<void>
}

/** What every implementation can be told when it is opened. */
export type NullifierStoreOptions = {
  /** Up to 64 printable characters of ASCII without blanks; random unless given. */
  readonly owner?: string
}
