import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes } from './binary/bytes.ts'
import { CellPacker, CellUnpacker, defaultCellSize } from './cells.ts'
import { MalformedMessageError, TruncatedMessageError } from './errors.ts'
import { cutAt, utf8 } from './hex.fixture.ts'

describe('cells', () => {
  it('are all of one size, and give back the stream, however both are cut', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 500 }))
    fc.assert(
      fc.property(
        fc.integer({ min: 64, max: 300 }),
        pieces,
        fc.array(fc.boolean()),
        fc.array(fc.nat()),
        (size, input, ticks, cuts) => {
          const packer = new CellPacker(size)
          const cells = input.flatMap((piece, index) => [
            ...packer.push(piece),
            ...(ticks[index] === true ? [packer.flush()] : []),
          ])
          while (packer.pending > 0) cells.push(packer.flush())
          expect(cells.every((cell) => cell.length === size)).toBe(true)

          const unpacker = new CellUnpacker(size)
          const output = cutAt(concatBytes(...cells), cuts).flatMap((part) => unpacker.push(part))
          unpacker.end()
          expect(concatBytes(...output)).toEqual(concatBytes(...input))
        },
      ),
    )
  })

  it('look alike, full or empty', () => {
    const packer = new CellPacker()
    expect(packer.push(utf8('a token'))).toEqual([])
    expect(packer.flush().length).toBe(defaultCellSize)
    expect(packer.flush()).toEqual(new Uint8Array(defaultCellSize))
    expect(new CellUnpacker().push(new Uint8Array(defaultCellSize))).toEqual([])
  })

  it('that lie are refused, and so is half a one', () => {
    const cell = (...start: number[]) => Uint8Array.from({ length: 64 }, (_, index) => start[index] ?? 0)
    expect(() => new CellUnpacker(64).push(cell(0, 63))).toThrow(MalformedMessageError)
    expect(() => new CellUnpacker(64).push(cell(0, 0, 1))).toThrow('padding is not zero')
    expect(new CellUnpacker(64).push(cell(0, 62)).map((data) => data.length)).toEqual([62])
    const half = new CellUnpacker(64)
    half.push(new Uint8Array(63))
    expect(() => half.end()).toThrow(TruncatedMessageError)
    for (const size of [63, 16_385, 100.5]) expect(() => new CellPacker(size)).toThrow('64 to 16384')
  })
})
