import { bytesToByteString } from '../binary/bytes.ts'
import { ReplayedRequestError, ReplaySetFullError } from '../errors.ts'

/**
 * The encapsulated keys that one key configuration has seen, for all of its life.
 *
 * Oblivious HTTP has no protection against replays of its own (RFC 9458, section 6.5). A request's `enc` is a
 * new public key each time, and bound into what it seals (RFC 9180, section 4.1: `kem_context`), so that another
 * encoding of the same point does not open: whoever sends a request again must send the same 32 bytes.
 *
 * Ask only after the request was opened, so that nobody can fill the set with noise, and before anything is
 * done for it. Asking is synchronous: of two copies that arrive together, one is refused. Drop the set together
 * with the key; as long as a gateway holds the key, a forgotten `enc` would be a replay that succeeds, so a full
 * set refuses everything instead of forgetting.
 */
export class ReplaySet {
  readonly #seen = new Set<string>()
  readonly #capacity: number

  /** @param capacity how many requests the key configuration serves; at some 100 bytes each, a million by default */
  constructor(capacity = 1_000_000) {
    this.#capacity = capacity
  }

  /** How many requests were admitted. */
  get size(): number {
    return this.#seen.size
  }

  /**
   * Admits a request, once.
   *
   * @param enc its encapsulated key
   * @throws ReplayedRequestError if it was admitted before
   * @throws ReplaySetFullError if the set can hold no more
   */
  admit(enc: Uint8Array): void {
    const seen = bytesToByteString(enc)
    if (this.#seen.has(seen)) throw new ReplayedRequestError()
    if (this.#seen.size >= this.#capacity) throw new ReplaySetFullError(this.#capacity)
    this.#seen.add(seen)
  }
}
