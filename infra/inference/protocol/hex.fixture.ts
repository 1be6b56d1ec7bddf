// Without `Buffer`, since the browser runs the vectors too.

/** Bytes in hexadecimal; blanks are for the reader. */
export function fromHex(text: string): Uint8Array {
  const bytes = text.replaceAll(/\s/g, '').match(/../g) ?? []
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16))
}

/** Hexadecimal of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** UTF-8 of a string. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The bytes with one bit of them changed. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice()
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

/** Cuts bytes at arbitrary places. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end))
}
