import { InvariantError } from '../../../runtime/core/errors.ts'
import { ByteQueue } from './binary/byteQueue.ts'
import { isZero } from './binary/bytes.ts'
import { MalformedMessageError, TruncatedMessageError } from './errors.ts'

/**
 * Cells: an answer in pieces of one size, so that the lengths of its tokens show nowhere.
 *
 * A stream of bytes (a Binary HTTP response) is carried in cells of N bytes, and each cell or run of cells is
 * sealed as one chunk. A cell may be partly filled or empty: one is sent at each tick of the cadence, whatever
 * there is to say.
 *
 *     Cell {
 *       Data Length (16),
 *       Data (..),
 *       Padding (..) = 0,
 *     }
 *
 * This structure is Rialto's own; both ends know from the request whether an answer comes in cells, and of
 * which size.
 */

/** Size of a cell unless a request asks for another, in bytes. */
export const defaultCellSize = 1024

/** Bytes of a cell that hold no data. */
const overhead = 2
const smallestCell = 64
/** A cell is never more than one chunk. */
const largestCell = 16_384

/** Fills cells with a stream of bytes. */
export class CellPacker {
  readonly #queue = new ByteQueue()
  readonly #size: number

  /** @param size of each cell in bytes, 64 to 16384 */
  constructor(size: number = defaultCellSize) {
    checkSize(size)
    this.#size = size
  }

  /** How many bytes wait for a cell. */
  get pending(): number {
    return this.#queue.length
  }

  /** Takes bytes and returns the cells that they fill. */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#queue.push(bytes)
    const cells: Uint8Array[] = []
    while (this.#queue.length >= this.#size - overhead) cells.push(this.flush())
    return cells
  }

  /** The next cell with what there is: less than a cell, or nothing. */
  flush(): Uint8Array {
    const cell = new Uint8Array(this.#size)
    const length = Math.min(this.#queue.length, this.#size - overhead)
    cell[0] = length >> 8
    cell[1] = length & 0xff
    const data = this.#queue.take(length)
    if (data !== undefined) cell.set(data, overhead)
    return cell
  }
}

/** Takes the data out of cells. */
export class CellUnpacker {
  readonly #queue = new ByteQueue()
  readonly #size: number

  /** @param size of each cell in bytes, 64 to 16384 */
  constructor(size: number = defaultCellSize) {
    checkSize(size)
    this.#size = size
  }

  /**
   * Takes cells, cut anyhow, and returns the data of those that are complete. Empty ones give nothing.
   *
   * @throws MalformedMessageError if a cell claims more than it holds, or its padding is not zero
   */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#queue.push(bytes)
    const pieces: Uint8Array[] = []
    for (let cell = this.#queue.take(this.#size); cell !== undefined; cell = this.#queue.take(this.#size)) {
      const end = overhead + (cell[0] ?? 0) * 256 + (cell[1] ?? 0)
      if (end > cell.length) throw new MalformedMessageError('has a cell that claims more than it holds')
      if (!isZero(cell.subarray(end))) throw new MalformedMessageError('has a cell whose padding is not zero')
      if (end > overhead) pieces.push(cell.subarray(overhead, end))
    }
    return pieces
  }

  /** @throws TruncatedMessageError if the stream ends within a cell */
  end(): void {
    if (this.#queue.length > 0) throw new TruncatedMessageError('a cell')
  }
}

function checkSize(size: number): void {
  if (!Number.isInteger(size) || size < smallestCell || size > largestCell)
    throw new InvariantError(`A cell has ${smallestCell} to ${largestCell} bytes.`, { size })
}
