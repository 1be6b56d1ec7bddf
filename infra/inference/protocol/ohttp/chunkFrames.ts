import { ByteQueue } from '../binary/byteQueue.ts'
import { putVarint, varintLength, varintValue } from '../binary/varint.ts'
import { BrokenStreamError, MessageTooLargeError } from '../errors.ts'
import { suiteLengths } from '../hpke/suite.ts'

/**
 * "Implementations MUST support receiving chunks that contain 2^14 (16384) octets of data prior to
 * encapsulation. Senders of chunks SHOULD limit their chunks to this size" (chunked OHTTP, section 3). In bytes.
 */
export const maxChunkLength = 16_384

/** What the receiver of a chunked message takes at most, in bytes. */
export type ChunkLimits = {
  /** The plaintext of one chunk, the final one included. {@link maxChunkLength} by default, and no less. */
  readonly maxChunkBytes?: number
  /** The whole message with its framing and tags. 16 MiB by default. */
  readonly maxMessageBytes?: number
}

/**
 * What precedes a sealed chunk: `Length (i) = 1..` if others follow it, else
 * `Final Request Chunk Indicator (i) = 0` (chunked OHTTP, section 4).
 *
 * @param plaintextLength in bytes
 * @param start what goes before it, such as the header of the message
 */
export function chunkHead(plaintextLength: number, final: boolean, start: Uint8Array): Uint8Array {
  const length = final ? 0 : plaintextLength + suiteLengths.Nt
  const head = new Uint8Array(start.length + varintLength(length))
  head.set(start)
  putVarint(head, start.length, length)
  return head
}

/**
 * Cuts the chunks of a chunked message out of the bytes as they arrive.
 *
 *     Chunked Request Chunks {
 *       Non-Final Request Chunk (..),
 *       Final Request Chunk Indicator (i) = 0,
 *       HPKE-Protected Final Chunk (..),
 *     }
 *
 *     Non-Final Request Chunk {
 *       Length (i) = 1..,
 *       HPKE-Protected Chunk (..),
 *     }
 *
 * (chunked OHTTP, section 4; responses, section 5, are framed alike.) "The final chunk is preceded by a length
 * field with the value 0, which means the chunk extends to the end of the outer stream."
 */
export class ChunkFrames {
  readonly #queue = new ByteQueue()
  readonly #maxSealed: number
  readonly #maxMessage: number
  #received = 0
  /** Length of the chunk whose bytes are awaited. */
  #length: number | undefined
  #final = false

  constructor(limits: ChunkLimits = {}) {
    this.#maxSealed = Math.max(limits.maxChunkBytes ?? 0, maxChunkLength) + suiteLengths.Nt
    this.#maxMessage = limits.maxMessageBytes ?? 16 * 1024 * 1024
  }

  /** @throws MessageTooLargeError */
  push(bytes: Uint8Array): void {
    this.#received += bytes.length
    if (this.#received > this.#maxMessage)
      throw new MessageTooLargeError('a chunked message', this.#maxMessage)
    this.#queue.push(bytes)
  }

  /**
   * The next chunk that is complete and not the final one.
   *
   * @throws MessageTooLargeError as soon as the length of a chunk says so
   */
  next(): Uint8Array | undefined {
    if (!this.#final && this.#length === undefined) {
      const encoding = this.#queue.takeVarint()
      if (encoding === undefined) return undefined
      const length = varintValue(encoding) ?? Number.POSITIVE_INFINITY
      this.#checkChunk(length)
      if (length === 0) this.#final = true
      else this.#length = length
    }
    if (this.#final) {
      this.#checkChunk(this.#queue.length)
      return undefined
    }
    const sealed = this.#queue.take(this.#length ?? 0)
    if (sealed !== undefined) this.#length = undefined
    return sealed
  }

  /**
   * The final chunk, once the outer stream has ended.
   *
   * @throws BrokenStreamError `truncated` if the outer stream ended before or within it
   */
  end(): Uint8Array {
    const sealed = this.#queue.take(this.#queue.length)
    if (!this.#final || sealed === undefined || sealed.length < suiteLengths.Nt)
      throw new BrokenStreamError('truncated')
    return sealed
  }

  #checkChunk(length: number): void {
    if (length > this.#maxSealed) throw new MessageTooLargeError('a chunk', this.#maxSealed)
  }
}
