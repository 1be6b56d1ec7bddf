import type { Refusal } from '../protocol/network/problem.ts'
import { maxChunkLength } from '../protocol/ohttp/chunkFrames.ts'

/** What became of a spend, for those who care for its change alone. */
export type SpendOutcome =
  /** `change` is the value of the trailer. */
  | { readonly kind: 'settled'; readonly change: string }
  /** Nothing was reserved. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** It could not be recorded, or it is not known whether it was: the same again tells. */
  | { readonly kind: 'broken' }

/** How much may be kept of answers, in bytes. One for all deliveries. */
export type AnswerBudget = {
  readonly keptPerAnswer: number
  readonly kept: number
  readonly backlog: number
  used: number
}

/** Whoever reads an answer, from its beginning and at a pace of their own. */
export type DeliveryReader = {
  /** The next bytes, at most a chunk of them; undefined when there are none yet. */
  take(): { readonly bytes: Uint8Array; readonly last: boolean } | undefined
  /** Resolves when there may be something to take, or the answer has broken off. */
  more(): Promise<void>
  /** The answer has no end, and never will. */
  readonly broken: boolean
  /** Reads no further. */
  leave(): void
}

/**
 * One answer, a Binary HTTP message, from what writes it to any number of readers.
 *
 * It is kept as a whole while it is small enough, so that whoever comes later gets it from the beginning, and the
 * node is not held up by a reader. An answer beyond that is kept as far as its slowest reader needs, and what writes
 * it is held back while that is much.
 */
export class Delivery {
  readonly #budget: AnswerBudget
  readonly #pieces: Uint8Array[] = []
  /** Number of the first piece that is still there. */
  #base = 0
  #held = 0
  #kept = true
  #state: 'open' | 'ended' | 'broken' = 'open'
  #forgotten = false
  #holding = false
  readonly #readers = new Set<Reader>()
  #onHold: ((hold: boolean) => void) | undefined
  #settle: (outcome: SpendOutcome) => void = () => undefined

  /** Resolves when it is known what became of the spend. */
  readonly outcome: Promise<SpendOutcome>

  constructor(budget: AnswerBudget) {
    this.#budget = budget
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Whether anything was written. */
  get started(): boolean {
    return this.#base + this.#pieces.length > 0
  }

  /** All of it, if it has ended and was small enough to keep. */
  get whole(): Uint8Array | undefined {
    return this.#state === 'ended' && this.#kept ? Buffer.concat(this.#pieces) : undefined
  }

  /** Told when what writes should pause, and when it may go on. */
  set onHold(listener: ((hold: boolean) => void) | undefined) {
    this.#onHold = listener
    if (this.#holding) listener?.(true)
  }

  /** Adds to the answer. The bytes are not copied. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += maxChunkLength)
      this.#pieces.push(bytes.subarray(at, at + maxChunkLength))
    this.#held += bytes.length
    this.#budget.used += bytes.length
    if (this.#held > this.#budget.keptPerAnswer || this.#budget.used > this.#budget.kept) this.#kept = false
    this.#wake()
  }

  /** Adds the last bytes. */
  end(bytes: Uint8Array): void {
    this.#state = 'ended'
    this.write(bytes)
  }

  /** Breaks off: readers are cut, without the end that would make the answer whole. */
  break(): void {
    if (this.#state === 'open') this.#state = 'broken'
    this.#settle({ kind: 'broken' })
    this.#wake()
  }

  /** Says what became of the spend. */
  settle(outcome: SpendOutcome): void {
    this.#settle(outcome)
  }

  /** Nobody attaches any more: frees the memory when the last reader has left. */
  forget(): void {
    this.#forgotten = true
    this.#trim()
  }

  /** Cuts all who read: they have held up the node for as long as they may. */
  cutReaders(): void {
    for (const reader of [...this.#readers]) reader.cut()
  }

  /**
   * Begins to read; undefined when the beginning is no longer there.
   *
   * @param onCut told when the reader is cut off before it has left
   */
  attach(onCut: () => void = () => undefined): DeliveryReader | undefined {
    if (this.#base > 0) return undefined
    const reader = new Reader({
      at: () => this.#base,
      piece: (index) => this.#pieces[index - this.#base],
      isLast: (index) => this.#state === 'ended' && index === this.#base + this.#pieces.length,
      isBroken: () => this.#state === 'broken',
      moved: () => this.#trim(),
      left: (gone) => {
        this.#readers.delete(gone)
        this.#trim()
      },
      onCut,
    })
    this.#readers.add(reader)
    return reader
  }

  #wake(): void {
    for (const reader of this.#readers) reader.wake()
    this.#trim()
  }

  #trim(): void {
    const nobody = this.#readers.size === 0
    if (!this.#kept || (this.#forgotten && nobody)) {
      const end = this.#base + this.#pieces.length
      let needed = end
      for (const reader of this.#readers) needed = Math.min(needed, reader.position)
      const dropped = this.#pieces.splice(0, needed - this.#base)
      let length = 0
      for (const piece of dropped) length += piece.length
      this.#base = needed
      this.#held -= length
      this.#budget.used -= length
    }
    const hold = !this.#kept && this.#held > (this.#holding ? this.#budget.backlog / 2 : this.#budget.backlog)
    if (hold === this.#holding) return
    this.#holding = hold
    this.#onHold?.(hold)
  }
}

type Source = {
  at(): number
  piece(index: number): Uint8Array | undefined
  isLast(next: number): boolean
  isBroken(): boolean
  moved(): void
  left(reader: Reader): void
  onCut(): void
}

class Reader implements DeliveryReader {
  readonly #source: Source
  position: number
  #wake: (() => void) | undefined
  #cut = false

  constructor(source: Source) {
    this.#source = source
    this.position = source.at()
  }

  get broken(): boolean {
    return this.#cut || this.#source.isBroken()
  }

  take() {
    const parts: Uint8Array[] = []
    let length = 0
    for (;;) {
      const piece = this.#source.piece(this.position)
      if (piece === undefined || (length > 0 && length + piece.length > maxChunkLength)) break
      parts.push(piece)
      length += piece.length
      this.position += 1
    }
    if (parts.length === 0) return undefined
    const last = this.#source.isLast(this.position)
    this.#source.moved()
    const [only] = parts
    return { bytes: parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, length), last }
  }

  more(): Promise<void> {
    if (this.broken || this.#source.piece(this.position) !== undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  cut(): void {
    this.leave()
    this.#source.onCut()
  }

  leave(): void {
    this.#cut = true
    this.#source.left(this)
    this.wake()
  }
}
