import { MessageLimitError } from '../errors.ts'

/**
 * The most messages of one context. RFC 9180 (section 5.2) allows 2^96 - 1 and chunked OHTTP (section 6.2) as
 * many; a counter that is exact in a `number` ends sooner, and still later than any stream.
 */
const maxMessages = Number.MAX_SAFE_INTEGER

/**
 * The nonces of one AEAD key, each used once.
 *
 *     def Context<ROLE>.ComputeNonce(seq):
 *       seq_bytes = I2OSP(seq, Nn)
 *       return xor(self.base_nonce, seq_bytes)
 *
 *     def Context<ROLE>.IncrementSeq():
 *       if self.seq >= (1 << (8*Nn)) - 1:
 *         raise MessageLimitReachedError
 *       self.seq += 1
 *
 * (RFC 9180, section 5.2; chunked OHTTP's `chunk_nonce = aead_nonce XOR encode(Nn, counter)` is the same.)
 */
export class NonceSequence {
  readonly #base: Uint8Array
  #next: number

  /** @param start the sequence number to begin at */
  constructor(base: Uint8Array, start = 0) {
    this.#base = base
    this.#next = start
  }

  /** The sequence number that comes next. */
  get position(): number {
    return this.#next
  }

  /** The nonce of a sequence number. */
  at(sequence: number): Uint8Array {
    const nonce = this.#base.slice()
    let rest = sequence
    for (let index = nonce.length - 1; rest > 0; index--) {
      nonce[index] = (nonce[index] ?? 0) ^ (rest % 256)
      rest = Math.floor(rest / 256)
    }
    return nonce
  }

  /** @throws MessageLimitError if none is left */
  check(): void {
    if (this.#next >= maxMessages) throw new MessageLimitError()
  }

  /** Goes on to the next sequence number. */
  advance(): void {
    this.check()
    this.#next++
  }

  /** The next nonce, which is thereby used up. */
  take(): Uint8Array {
    this.check()
    return this.at(this.#next++)
  }
}
