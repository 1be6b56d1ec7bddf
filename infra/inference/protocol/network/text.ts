import { MalformedMessageError } from '../errors.ts'

/** Base64url without padding (RFC 4648, section 5). */
export const toBase64Url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')

/**
 * Reads {@link toBase64Url}, and nothing that is only nearly so.
 *
 * @param what it is, for the error
 * @throws MalformedMessageError
 */
export function fromBase64Url(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  // Node's decoder takes anything; what does not come back as it was sent is not base64url.
  if (bytes.toString('base64url') !== text)
    throw new MalformedMessageError(`has ${what} that is not base64url`)
  return new Uint8Array(bytes)
}

/** A whole number as 8 bytes in network order. */
export function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}
