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
  // In slices, since the whole of a long value could exceed what a call takes as arguments. Not by a spread, which
  // makes an object for each byte.
  for (let at = 0; at < bytes.length; at += 4096) {
    text += Reflect.apply(String.fromCharCode, null, bytes.subarray(at, at + 4096))
  }
  return text
}

/** Whether every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  // Padding is most of what arrives, so it is looked at in words: from the first one that is aligned in memory.
  const head = -bytes.byteOffset & 3
  const inWords = Math.max(0, bytes.length - head) >> 2
  let seen = 0
  let at = 0
  if (inWords > 0) {
    for (; at < head; at++) seen |= bytes[at] ?? 0
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + head, inWords)
    for (let word = 0; word < inWords; word++) seen |= words[word] ?? 0
    at += inWords * 4
  }
  for (; at < bytes.length; at++) seen |= bytes[at] ?? 0
  return seen === 0
}

/** Whether both hold the same bytes. Not in constant time: for public values only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}
