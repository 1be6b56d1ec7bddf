import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TruncatedMessageError, UnencodableMessageError } from '../errors.ts'
import { cutAt, fromHex, toHex } from '../hex.fixture.ts'
import { ByteQueue } from './byteQueue.ts'
import { ByteReader } from './byteReader.ts'
import { byteStringToBytes, bytesToByteString, concatBytes, equalBytes, isZero } from './bytes.ts'
import { ByteWriter } from './byteWriter.ts'
import { varintLength, varintValue } from './varint.ts'

describe('variable-length integers', () => {
  // RFC 9000, section A.1.
  it.each([
    ['25', 37],
    ['4025', 37],
    ['7bbd', 15293],
    ['9d7f3e7d', 494878333],
  ])('reads %s as %i', (hex, value) => {
    expect(varintValue(fromHex(hex))).toBe(value)
  })

  it('refuses the 8-byte example of RFC 9000 (151288809941952652), which is no exact number', () => {
    expect(varintValue(fromHex('c2197c5eff14e88c'))).toBeUndefined()
  })

  it('writes the shortest encoding, on both sides of each boundary', () => {
    const encode = (value: number) => toHex(new ByteWriter().varint(value).finish())
    expect([0, 63, 64, 16383, 16384, 2 ** 30 - 1, 2 ** 30, 2 ** 53 - 1].map(encode)).toEqual([
      '00',
      '3f',
      '4040',
      '7fff',
      '80004000',
      'bfffffff',
      'c000000040000000',
      'c01fffffffffffff',
    ])
  })

  it('writes only what it can read', () => {
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => varintLength(value)).toThrow(UnencodableMessageError)
    }
  })

  it('reads what it wrote', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const queue = new ByteQueue()
        queue.push(new ByteWriter().varint(value).finish())
        const encoding = queue.takeVarint()
        expect(encoding && varintValue(encoding)).toBe(value)
        expect(queue.length).toBe(0)
      }),
    )
  })
})

describe('writer and reader', () => {
  it('write and read integers in network byte order', () => {
    const bytes = new ByteWriter().uint8(7).uint16(0xabcd).prefixedText('hi').finish()
    expect(toHex(bytes)).toBe('07abcd026869')
    const reader = new ByteReader(bytes, 'a test')
    expect([reader.uint8(), reader.uint16(), toHex(reader.rest()), reader.remaining]).toEqual([
      7,
      0xabcd,
      '026869',
      0,
    ])
  })

  it('check every bound', () => {
    const reader = new ByteReader(Uint8Array.of(1), 'a test')
    expect(() => reader.uint16()).toThrow(TruncatedMessageError)
    expect(reader.uint8()).toBe(1)
    expect(() => reader.bytes(1)).toThrow('The message ends inside a test.')
    for (const value of [-1, 256, 1.5])
      expect(() => new ByteWriter().uint8(value)).toThrow(UnencodableMessageError)
    expect(() => new ByteWriter().uint16(65536)).toThrow(UnencodableMessageError)
  })

  it('carry byte strings, and refuse what is more than a byte', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000 }), (bytes) => {
        expect(byteStringToBytes(bytesToByteString(bytes))).toEqual(bytes)
      }),
    )
    expect(() => byteStringToBytes('€')).toThrow(UnencodableMessageError)
  })

  it('find the one byte that is not zero, or differs, wherever in memory', () => {
    fc.assert(
      fc.property(fc.nat({ max: 9 }), fc.nat({ max: 40 }), fc.nat(), (offset, length, where) => {
        // All around it is not zero, and does not count.
        const bytes = new Uint8Array(64)
          .fill(255)
          .subarray(offset, offset + length)
          .fill(0)
        expect([isZero(bytes), equalBytes(bytes, new Uint8Array(length))]).toEqual([true, true])
        if (length === 0) return
        bytes[where % length] = 128
        expect([isZero(bytes), equalBytes(bytes, new Uint8Array(length))]).toEqual([false, false])
      }),
    )
    expect(equalBytes(new Uint8Array(2), new Uint8Array(3))).toBe(false)
  })
})

describe('queue', () => {
  it('gives the bytes that it took, however they come and go', () => {
    const pieces = fc.array(
      fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 500, maxLength: 1500 })),
    )
    const steps = fc.array(fc.tuple(fc.nat({ max: 1500 }), fc.boolean()))
    fc.assert(
      fc.property(pieces, steps, (input, takes) => {
        const queue = new ByteQueue()
        const output: Uint8Array[] = []
        const take = (length: number, some: boolean) => {
          const before = queue.length
          const taken = some ? queue.takeSome(length) : queue.take(length)
          if (taken === undefined) expect(queue.length).toBe(before)
          else output.push(taken.slice())
        }
        input.forEach((piece, index) => {
          queue.push(piece)
          const step = takes[index]
          if (step !== undefined) take(...step)
        })
        while (queue.length > 0) take(queue.length, false)
        expect(concatBytes(...output)).toEqual(concatBytes(...input))
      }),
    )
  })

  it('keeps what was handed out when more small pieces follow', () => {
    const queue = new ByteQueue()
    queue.push(Uint8Array.of(1, 2, 3))
    const first = queue.takeSome(2)
    queue.push(Uint8Array.of(4, 5))
    expect([first, queue.take(3)]).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)])
  })

  it('waits for a whole integer', () => {
    const queue = new ByteQueue()
    for (const part of cutAt(fromHex('9d7f3e'), [1, 2])) queue.push(part)
    expect(queue.takeVarint()).toBeUndefined()
    queue.push(fromHex('7d'))
    expect(queue.takeVarint()).toEqual(fromHex('9d7f3e7d'))
  })
})
