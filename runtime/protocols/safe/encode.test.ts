import fc from 'fast-check'
import { type Address, concatHex, type Hex, pad, size, slice, toHex } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Call } from '../../core/lifecycle.ts'
import { wei } from '../../core/units.ts'
import { decodeMultiSend, decodeRolesExecution, encodeMultiSend, encodeRolesExecution } from './encode.ts'

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((value): Hex => toHex(value))
const address = bytes(20, 20) as fc.Arbitrary<Address>
const call = fc.record({
  to: address,
  value: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map(wei),
  data: bytes(0, 200),
}) satisfies fc.Arbitrary<Call>
const via = fc.record({ modifier: address, multiSend: address, roleKey: bytes(32, 32) })

const A: Address = '0x00000000000000000000000000000000000000aa'
const B: Address = '0x00000000000000000000000000000000000000bb'
const route = { modifier: A, multiSend: B, roleKey: pad('0x01', { size: 32 }) }
const one: readonly Call[] = [{ to: A, value: wei(1n), data: '0x12345678' }]

/** Where the packed transactions begin in the calldata of `multiSend`: after selector, offset and length. */
const PACKED_AT = 4 + 64

describe('a batch for MultiSend', () => {
  it('packs operation, target, value, length and data', () => {
    const packed = slice(encodeMultiSend(one), PACKED_AT, PACKED_AT + 89)
    expect(packed).toBe(
      concatHex(['0x00', A, pad('0x01', { size: 32 }), pad('0x04', { size: 32 }), '0x12345678']),
    )
  })

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 6 }), (calls) => {
        expect(decodeMultiSend(encodeMultiSend(calls))).toEqual(calls)
      }),
    )
  })

  it('is not read when any byte of it differs from what would be written for what was read', () => {
    fc.assert(
      fc.property(
        fc.array(call, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (calls, where, flip) => {
          const data = encodeMultiSend(calls)
          const at = where % size(data)
          const byte = Number.parseInt(data.slice(2 + at * 2, 4 + at * 2), 16) ^ flip
          const changed: Hex = `0x${data.slice(2, 2 + at * 2)}${byte.toString(16).padStart(2, '0')}${data.slice(4 + at * 2)}`
          const read = decodeMultiSend(changed)
          if (read !== null) expect(encodeMultiSend(read)).toBe(changed)
          expect(read).not.toEqual(calls)
        },
      ),
    )
  })

  it.each([
    ['a delegate call inside', (data: Hex) => replaceByte(data, PACKED_AT, '01')],
    ['a length that reaches past the end', (data: Hex) => replaceByte(data, PACKED_AT + 84, '05')],
    ['an enormous length', (data: Hex) => replaceByte(data, PACKED_AT + 53, 'ff')],
    ['bytes after the end', (data: Hex) => concatHex([data, '0x00'])],
    ['padding that is not zero', (data: Hex) => replaceByte(data, size(data) - 1, '01')],
    ['another function', (data: Hex) => replaceByte(data, 0, '00')],
    ['nothing', (): Hex => '0x'],
  ])('is not read with %s', (_what, change) => {
    expect(decodeMultiSend(change(encodeMultiSend(one)))).toBeNull()
  })
})

describe('a transaction of a member of a role', () => {
  it('goes to the modifier, with no value, and is read back as it was written', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 6 }), via, (calls, someRoute) => {
        const { to, value, data } = encodeRolesExecution(calls, someRoute)
        expect({ to, value }).toEqual({ to: someRoute.modifier, value: 0n })
        expect(decodeRolesExecution(data, someRoute)).toEqual(calls)
      }),
    )
  })

  it('is not read as one of another role or with another MultiSend', () => {
    const { data } = encodeRolesExecution(one, route)
    expect(decodeRolesExecution(data, { ...route, roleKey: pad('0x02', { size: 32 }) })).toBeNull()
    expect(decodeRolesExecution(data, { ...route, multiSend: A })).toBeNull()
  })

  it.each([
    ['a value', 4 + 32 + 31, '01'],
    ['a plain call of MultiSend', 4 + 3 * 32 + 31, '00'],
    ['a failure that is let pass', 4 + 5 * 32 + 31, '00'],
  ])('is not read with %s', (_what, at, byte) => {
    const { data } = encodeRolesExecution(one, route)
    expect(decodeRolesExecution(replaceByte(data, at, byte), route)).toBeNull()
  })

  it('is not read when it is something else', () => {
    expect(decodeRolesExecution('0x', route)).toBeNull()
    expect(decodeRolesExecution(encodeMultiSend(one), route)).toBeNull()
  })
})

const replaceByte = (data: Hex, at: number, byte: string): Hex =>
  `0x${data.slice(2, 2 + at * 2)}${byte}${data.slice(4 + at * 2)}`
