import { createHash } from 'node:crypto'
import { TokenError } from './errors.ts'

/** @example sha256(Buffer.from('abc')) // 32 bytes, ba7816bf… */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Big-endian, as every struct of Privacy Pass has it. @example uint(2, 2) // 00 02 */
export function uint(value: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = length - 1, rest = value; at >= 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256
  return bytes
}

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)

/** Whether two values that are no secrets are the same. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** @example toHex(Uint8Array.of(1, 255)) // '01ff' */
export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

/** Reads a struct front to back and never past its end. */
export type ByteReader = {
  /** A big-endian unsigned integer of that many bytes, at most 4. */
  uint(length: number): number
  /** A copy of the next bytes. */
  take(length: number): Uint8Array
  /** @throws {TokenError} `TOKEN_FORMAT` when something is left. */
  end(): void
}

/**
 * @param name of the struct, for the error
 * @throws {TokenError} `TOKEN_FORMAT` on every read past the end.
 */
export function readBytes(name: string, bytes: Uint8Array): ByteReader {
  let at = 0
  const pass = (length: number): void => {
    if (at + length > bytes.length) throw malformed(name, 'ends too early')
    at += length
  }
  return {
    take(length) {
      pass(length)
      // Not slice(): that of a Buffer is a view, and the memory under it is soon another message's.
      return new Uint8Array(bytes.subarray(at - length, at))
    },
    uint(length) {
      pass(length)
      let value = 0
      for (let index = at - length; index < at; index++) value = value * 256 + (bytes[index] ?? 0)
      return value
    },
    end: () => {
      if (at !== bytes.length) throw malformed(name, `goes on for ${bytes.length - at} bytes too many`)
    },
  }
}

/** @throws {TokenError} `TOKEN_FORMAT` unless it has exactly that length. */
export function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw malformed(name, `has ${bytes.length} bytes instead of ${length}`)
}

export const malformed = (name: string, problem: string): TokenError =>
  new TokenError('TOKEN_FORMAT', `A ${name} ${problem}.`, { fix: 'Send it as the RFC defines it.' })
