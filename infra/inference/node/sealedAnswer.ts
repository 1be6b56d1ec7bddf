import type { ServerResponse } from 'node:http'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { cutStalled } from '../../http/stall.ts'
import { encodeContent, encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import { concatBytes, noBytes } from '../protocol/binary/bytes.ts'
import { putVarint, varintLength } from '../protocol/binary/varint.ts'
import { CellPacker } from '../protocol/cells.ts'
import { headers, mediaTypes } from '../protocol/network/routes.ts'
import type { ChunkSealer } from '../protocol/ohttp/chunked.ts'
import { maxChunkLength } from '../protocol/ohttp/chunkFrames.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import type { Shape } from './innerRequest.ts'

/** How an answer ended, as its writer saw it. */
export type Delivery = 'delivered' | 'gone' | 'stalled'

/** Bytes of the length before a piece of content that fills a sealed chunk, or the cells in one. */
const lengthLength = 2
/** What the cells of one chunk hold, in bytes: one more would be sealed in a chunk of its own. */
const cellCapacity = (size: number) => Math.floor(maxChunkLength / size) * (size - 2)
/** So much may wait for the gateway, in bytes, before the upstream is told to wait. */
const highWater = 65_536

/**
 * An answer on its way to the client: a Binary HTTP response, sealed in chunks, within the Binary HTTP response to
 * the gateway.
 *
 * What arrives within one turn of the event loop, or while the gateway takes nothing, goes out as one chunk: to seal
 * each token by itself would cost more than the token. In cells, each of these is filled up to whole cells; with a
 * cadence, something goes out at each tick and at no other time: as many cells as hold what waits, or an empty one.
 */
export class SealedAnswer {
  readonly #response: ServerResponse
  readonly #sealer: ChunkSealer
  readonly #packer: CellPacker | undefined
  /** Bytes of content that go into one chunk. */
  readonly #pieceLength: number
  /** How many cells are one chunk at most. */
  readonly #run: number
  readonly #ticking: NodeJS.Timeout | undefined
  readonly #written: () => void
  readonly #onFirstByte: () => void
  readonly #most: number
  readonly #onFull: () => void
  #sealed = 0
  /** Resolves when the last byte was handed over, or nobody takes it any more. */
  readonly done: Promise<Delivery>
  #settle: (delivery: Delivery) => void = () => undefined
  #stalled = false
  #head: Uint8Array | undefined
  #pieces: Uint8Array[] = []
  #waiting = 0
  #pumping = false
  #begun = false
  #over = false
  #ending: { readonly whole: boolean; readonly trailers: readonly Field[] } | undefined
  #onRoom: (() => void) | undefined

  /**
   * @param parameters.stalled milliseconds after which a gateway that takes nothing is given up
   * @param parameters.onFirstByte called when the answer begins
   * @param parameters.most sealed bytes that it should not go beyond
   * @param parameters.onFull called when it has
   */
  constructor(parameters: {
    readonly response: ServerResponse
    readonly sealer: ChunkSealer
    readonly shape: Shape
    readonly stalled: number
    readonly onFirstByte: () => void
    readonly most: number
    readonly onFull: () => void
  }) {
    const { response, sealer, shape, stalled, onFirstByte, most, onFull } = parameters
    this.#response = response
    this.#sealer = sealer
    this.#packer = shape.cells === undefined ? undefined : new CellPacker(shape.cells)
    this.#pieceLength =
      (shape.cells === undefined ? maxChunkLength : cellCapacity(shape.cells)) - lengthLength
    this.#run = Math.floor(maxChunkLength / (shape.cells ?? maxChunkLength))
    this.#onFirstByte = onFirstByte
    this.#most = most
    this.#onFull = onFull
    this.done = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.#written = cutStalled(response, stalled, () => {
      this.#stalled = true
    })
    response.once('close', () => this.#close())
    if (shape.cadence !== undefined) {
      this.#ticking = setInterval(() => void this.#pump(), shape.cadence)
      // The first cell says nothing about the prompt when it does not wait for the model.
      void this.#pump()
    }
    if (response.destroyed) this.#close()
  }

  /** Whether nobody takes the answer any more. */
  get gone(): boolean {
    return this.#over
  }

  /** Begins the answer. */
  begin(status: number, fields: readonly Field[]): void {
    if (this.#head !== undefined || this.#ending !== undefined)
      throw new InvariantError('An answer was begun twice.')
    this.#head = encodeResponseHead({ informational: [], status, headers: fields })
    this.#wake()
  }

  /**
   * Sends content.
   *
   * @returns whether there is room for more; when not, {@link onRoom} tells when there is
   */
  push(bytes: Uint8Array): boolean {
    if (this.#over || bytes.length === 0) return true
    this.#pieces.push(bytes)
    this.#waiting += bytes.length
    this.#wake()
    return this.#waiting < highWater
  }

  /** Calls back once, when there is room or nobody to take any. */
  onRoom(callback: () => void): void {
    if (this.#over || this.#waiting < highWater) callback()
    else this.#onRoom = callback
  }

  /**
   * Ends the answer.
   *
   * @param receipt for the gateway
   */
  end(receipt: string): Promise<Delivery> {
    return this.#finish({ whole: true, trailers: [[headers.receipt, receipt]] })
  }

  /** Ends it where it is: without its final chunk the client sees that it is not whole, and there is no receipt. */
  cut(): Promise<Delivery> {
    return this.#finish({ whole: false, trailers: [] })
  }

  #finish(ending: { readonly whole: boolean; readonly trailers: readonly Field[] }): Promise<Delivery> {
    this.#ending ??= ending
    this.#wake()
    return this.done
  }

  /** With a cadence, nothing but the clock makes anything go out. */
  #wake(): void {
    if (this.#pumping || this.#ticking !== undefined || this.#over) return
    this.#pumping = true
    process.nextTick(() => {
      this.#pumping = false
      void this.#pump()
    })
  }

  /** Sends all that waits. */
  async #pump(): Promise<void> {
    if (this.#pumping || this.#over) return
    this.#pumping = true
    try {
      let idle = this.#ticking !== undefined
      while (!this.#over) {
        const { plaintext, last } = this.#next()
        if (plaintext.length === 0 && !last && !idle) break
        idle = false
        const sealed = await this.#seal(plaintext, last)
        if (sealed.length > 0 || last) await this.#write(sealed, last)
        if (last) return
      }
    } catch {
      // Nothing more can be sealed; what was sent is not whole, and shows that.
      this.#response.destroy()
    } finally {
      this.#pumping = false
    }
    if (this.#waiting > 0 || this.#ending !== undefined) this.#wake()
  }

  /** The plaintext that goes out next, as far as there is some. */
  #next(): { readonly plaintext: Uint8Array; readonly last: boolean } {
    const head = this.#head
    const parts: Uint8Array[] = []
    if (head !== undefined && head.length > 0) {
      parts.push(head)
      this.#head = noBytes
    }
    if (this.#waiting > 0) parts.push(this.#content())
    const last = this.#ending !== undefined && this.#waiting === 0
    if (last && this.#ending?.whole === true) parts.push(encodeEnd())
    return { plaintext: parts.length === 1 ? (parts[0] ?? noBytes) : concatBytes(...parts), last }
  }

  /** A piece of content with its length before it, copied once. */
  #content(): Uint8Array {
    const length = Math.min(this.#waiting, this.#pieceLength)
    const framed = new Uint8Array(varintLength(length) + length)
    let at = putVarint(framed, 0, length)
    let used = 0
    for (const piece of this.#pieces) {
      const part = piece.length > framed.length - at ? piece.subarray(0, framed.length - at) : piece
      framed.set(part, at)
      at += part.length
      if (part.length < piece.length) {
        this.#pieces[used] = piece.subarray(part.length)
        break
      }
      used++
      if (at === framed.length) break
    }
    this.#pieces.splice(0, used)
    this.#waiting -= length
    if (this.#waiting < highWater) this.#callBack()
    return framed
  }

  async #seal(plaintext: Uint8Array, last: boolean): Promise<Uint8Array> {
    const whole = last && this.#ending?.whole === true
    if (this.#packer === undefined) {
      if (whole) return this.#sealer.end(plaintext)
      return plaintext.length > 0 ? this.#sealer.seal(plaintext) : noBytes
    }
    const cells = this.#packer.push(plaintext)
    // A cell goes out full or not: what waited for its neighbours would show when they come.
    if (this.#packer.pending > 0 || (cells.length === 0 && !last)) cells.push(this.#packer.flush())
    const parts: Uint8Array[] = []
    for (let at = 0; at < cells.length; at += this.#run)
      parts.push(await this.#sealer.seal(concatBytes(...cells.slice(at, at + this.#run))))
    if (whole) parts.push(await this.#sealer.end())
    return concatBytes(...parts)
  }

  async #write(sealed: Uint8Array, last: boolean): Promise<void> {
    const response = this.#response
    if (this.#over) return
    const before = this.#sealed
    this.#sealed += sealed.length
    if (before <= this.#most && this.#sealed > this.#most) this.#onFull()
    const parts = [encodeContent(sealed)]
    if (!this.#begun) {
      this.#begun = true
      this.#onFirstByte()
      response.writeHead(200, { 'content-type': mediaTypes.binaryHttp, 'cache-control': 'no-store' })
      parts.unshift(answerHead)
    }
    if (last) parts.push(encodeEnd(this.#ending?.trailers))
    const bytes = parts.length === 1 ? (parts[0] ?? noBytes) : concatBytes(...parts)
    if (last) {
      response.end(bytes)
      response.once('finish', () => this.#close('delivered'))
      this.#written()
      return
    }
    if (response.write(bytes)) return
    this.#written()
    await new Promise<void>((resolve) => {
      const go = () => {
        response.off('drain', go).off('close', go)
        resolve()
      }
      response.on('drain', go).on('close', go)
    })
  }

  #callBack(): void {
    const callback = this.#onRoom
    this.#onRoom = undefined
    callback?.()
  }

  #close(delivery?: Delivery): void {
    if (this.#over) return
    this.#over = true
    clearInterval(this.#ticking)
    this.#pieces = []
    this.#waiting = 0
    this.#settle(delivery ?? (this.#stalled ? 'stalled' : 'gone'))
    this.#callBack()
  }
}

/** How every answer to a gateway begins. */
const answerHead = encodeResponseHead({
  informational: [],
  status: 200,
  headers: [['content-type', ohttpMediaTypes.chunkedResponse]],
})
