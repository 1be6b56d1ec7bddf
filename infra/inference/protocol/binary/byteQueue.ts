import { noBytes } from './bytes.ts'
import { varintLengthFrom } from './varint.ts'

/** Pieces below this are copied together, so that a peer who sends single bytes costs bytes, not objects. */
const smallPiece = 512
const blockSize = 4096

/**
 * Bytes that arrive in pieces and leave in others.
 *
 * A read that asks for more than there is returns `undefined` and takes nothing, so a decoder can wait. What is
 * returned may share memory with what was pushed.
 */
export class ByteQueue {
  readonly #pieces: Uint8Array[] = []
  /** Index of the first piece that still holds bytes; the taken ones before it are dropped now and then. */
  #head = 0
  /** Bytes of the first piece that were taken already. */
  #taken = 0
  #length = 0
  /** Where small pieces are collected: if there is one, the last piece is its beginning up to `end`. */
  #block: { readonly bytes: Uint8Array; end: number } | undefined

  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    // One small piece alone stays where it is: mostly it is taken whole before another arrives.
    const alone = this.#length === 0
    this.#length += bytes.length
    if (bytes.length < smallPiece && !alone) {
      this.#collect(bytes)
    } else {
      this.#pieces.push(bytes)
      this.#block = undefined
    }
  }

  /** Exactly this many bytes. */
  take(length: number): Uint8Array | undefined {
    if (length > this.#length) return undefined
    if (length === 0) return noBytes
    const first = this.#takeFromFirst(length)
    if (first.length === length) return first
    const whole = new Uint8Array(length)
    whole.set(first)
    for (let filled = first.length; filled < length; ) {
      const part = this.#takeFromFirst(length - filled)
      whole.set(part, filled)
      filled += part.length
    }
    return whole
  }

  /** What is there in one piece, but no more than asked for; `undefined` if there is nothing. */
  takeSome(most: number): Uint8Array | undefined {
    return this.#length === 0 || most === 0 ? undefined : this.#takeFromFirst(most)
  }

  /** The bytes of one variable-length integer (RFC 9000, section 16), once they are all there. */
  takeVarint(): Uint8Array | undefined {
    const first = this.#pieces[this.#head]?.[this.#taken]
    return first === undefined ? undefined : this.take(varintLengthFrom(first))
  }

  #collect(bytes: Uint8Array): void {
    if (this.#block === undefined || this.#block.end + bytes.length > blockSize) {
      this.#block = { bytes: new Uint8Array(blockSize), end: 0 }
      this.#pieces.push(noBytes)
    }
    const block = this.#block
    block.bytes.set(bytes, block.end)
    block.end += bytes.length
    this.#pieces[this.#pieces.length - 1] = block.bytes.subarray(0, block.end)
  }

  #takeFromFirst(most: number): Uint8Array {
    const piece = this.#pieces[this.#head] ?? noBytes
    const part = piece.subarray(this.#taken, Math.min(piece.length, this.#taken + most))
    this.#taken += part.length
    this.#length -= part.length
    if (this.#taken === piece.length) this.#drop()
    return part
  }

  #drop(): void {
    this.#head++
    this.#taken = 0
    if (this.#head === this.#pieces.length) this.#block = undefined
    // Half of it at once, so that dropping costs no more than pushing did.
    if (this.#head * 2 >= this.#pieces.length) {
      this.#pieces.splice(0, this.#head)
      this.#head = 0
    }
  }
}
