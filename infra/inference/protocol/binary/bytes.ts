import { UnencodableMessageError } from '../errors.ts'

/** No bytes. */
export const noBytes = new Uint8Array(0)

/** The parts, one behind the other, in memory of their own. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/**
 * A string of which each character is one byte, as in fetch's `ByteString` and the header strings of HTTP
 * libraries (ISO-8859-1).
 *
 * @throws UnencodableMessageError for a character above U+00FF
 */
export function byteStringToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0xff) throw new UnencodableMessageError('has a character above U+00FF outside its content')
    bytes[index] = code
  }
  return bytes
}

/** The inverse of {@link byteStringToBytes}. */
export function bytesToByteString(bytes: Uint8Array): string {
  let text = ''
  // In slices, since a spread of a whole field value could exceed what a call takes as arguments.
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  }
  return text
}

/** Whether every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  let seen = 0
  for (const byte of bytes) seen |= byte
  return seen === 0
}

/** Whether both hold the same bytes. Not in constant time: for public values only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}
