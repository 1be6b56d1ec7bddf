import { requireLength, sha256, toHex } from '../bytes.ts'

/** Bytes of a change digest. */
export const CHANGE_DIGEST_LENGTH = 16

/**
 * What is remembered of a blinded message that was signed as change: the first 16 bytes of its SHA-256. Who has lost
 * the signature shows the message and gets the same signature again. A message that was blinded for one key is worth
 * nothing under another, so the key has no part in it.
 *
 * Sixteen bytes are enough: two messages of one digest cost 2^64 hashes to find, and would give one token for nothing.
 *
 * @param blindedMessage 256 bytes
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function changeDigest(blindedMessage: Uint8Array): Uint8Array {
  requireLength('blinded message', blindedMessage, 256)
  return sha256(blindedMessage).slice(0, CHANGE_DIGEST_LENGTH)
}

/**
 * The digests as hexadecimal, in order.
 *
 * @throws {TokenError} `TOKEN_FORMAT` when one has another length.
 */
export function hexDigests(digests: readonly Uint8Array[]): readonly string[] {
  for (const digest of digests) requireLength('change digest', digest, CHANGE_DIGEST_LENGTH)
  return digests.map(toHex)
}
