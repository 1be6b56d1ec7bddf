import { TruncatedMessageError } from '../errors.ts'

/**
 * Reads the structures of the wire from bytes that are all there. Integers are in network byte order.
 *
 * Every read checks the bound first; what is returned shares memory with the input.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #offset = 0

  /** @param what the structure being read, for {@link TruncatedMessageError} */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** @throws TruncatedMessageError if there are fewer bytes */
  bytes(length: number): Uint8Array {
    if (length > this.remaining) throw new TruncatedMessageError(this.#what)
    const start = this.#offset
    this.#offset += length
    return this.#bytes.subarray(start, this.#offset)
  }

  /** @throws TruncatedMessageError */
  uint8(): number {
    return this.#integer(1)
  }

  /** @throws TruncatedMessageError */
  uint16(): number {
    return this.#integer(2)
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining)
  }

  #integer(length: number): number {
    let value = 0
    for (const byte of this.bytes(length)) value = value * 256 + byte
    return value
  }
}
