import { UnencodableMessageError } from '../errors.ts'
import { byteStringToBytes } from './bytes.ts'
import { putVarint, varintLength } from './varint.ts'

/**
 * Writes the structures of the wire into memory that grows. Integers are in network byte order.
 *
 * @example
 * new ByteWriter().uint8(1).uint16(0x20).varint(64).finish() // 01 0020 4040
 */
export class ByteWriter {
  #bytes = new Uint8Array(256)
  #length = 0

  uint8(value: number): this {
    return this.#integer(value, 1)
  }

  uint16(value: number): this {
    return this.#integer(value, 2)
  }

  /** A variable-length integer, in the fewest bytes (RFC 9000, section 16). */
  varint(value: number): this {
    const length = varintLength(value)
    this.#reserve(length)
    putVarint(this.#bytes, this.#length, value)
    this.#length += length
    return this
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
    return this
  }

  /** Bytes behind their length as a variable-length integer. */
  prefixed(value: Uint8Array): this {
    return this.varint(value.length).bytes(value)
  }

  /** A byte string (ISO-8859-1) behind its length. */
  prefixedText(value: string): this {
    return this.prefixed(byteStringToBytes(value))
  }

  get length(): number {
    return this.#length
  }

  /** What was written, in memory of its own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #integer(value: number, length: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** length)
      throw new UnencodableMessageError(`has a number that does not fit in ${length * 8} bits`)
    this.#reserve(length)
    for (let shift = length - 1; shift >= 0; shift--) {
      this.#bytes[this.#length++] = Math.floor(value / 256 ** shift) & 0xff
    }
    return this
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}
