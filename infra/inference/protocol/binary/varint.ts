import { UnencodableMessageError } from '../errors.ts'

/**
 * QUIC's variable-length integers.
 *
 * RFC 9000, section 16: the two most significant bits of the first byte encode the base-2 logarithm of the
 * length in bytes; the value follows in the remaining bits, in network byte order.
 *
 *     | 2MSB | Length | Usable Bits | Range                 |
 *     | 00   | 1      | 6           | 0-63                  |
 *     | 01   | 2      | 14          | 0-16383               |
 *     | 10   | 4      | 30          | 0-1073741823          |
 *     | 11   | 8      | 62          | 0-4611686018427387903 |
 *
 * Here a value is a `number`, so it ends at 2^53 - 1: nothing on this wire counts further, and what claims to
 * is refused by its reader. A value need not be encoded in the fewest bytes (RFC 9292, section 3), so readers
 * take every length; writers use the fewest.
 */

/**
 * How many bytes the shortest encoding takes: 1, 2, 4 or 8.
 *
 * @throws UnencodableMessageError for a negative, fractional or unsafe number
 */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UnencodableMessageError('has a length out of range')
  if (value < 0x40) return 1
  if (value < 0x4000) return 2
  if (value < 0x4000_0000) return 4
  return 8
}

/**
 * Writes the shortest encoding.
 *
 * @param target must have room for it at the offset
 * @returns the offset behind what was written
 * @example
 * putVarint(bytes, 0, 15293) // 2: writes 7b bd
 */
export function putVarint(target: Uint8Array, offset: number, value: number): number {
  const length = varintLength(value)
  let rest = value
  for (let at = offset + length - 1; at >= offset; at--) {
    target[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
  target[offset] = (target[offset] ?? 0) | (Math.log2(length) << 6)
  return offset + length
}

/** How many bytes the encoding takes that begins with this byte: 1, 2, 4 or 8. */
export function varintLengthFrom(firstByte: number): number {
  return 1 << (firstByte >> 6)
}

/**
 * The value of a complete encoding, or `undefined` if it exceeds 2^53 - 1.
 *
 * @param encoding exactly the bytes that {@link varintLengthFrom} asks for
 */
export function varintValue(encoding: Uint8Array): number | undefined {
  let value = 0
  for (let index = 0; index < encoding.length; index++) {
    const byte = encoding[index] ?? 0
    value = value * 256 + (index === 0 ? byte & 0x3f : byte)
  }
  return Number.isSafeInteger(value) ? value : undefined
}
