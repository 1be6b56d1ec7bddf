import { createHash } from 'node:crypto'
import { TokenError } from '../errors.ts'

/** Bytes of SHA-384, of the salt, and so of everything else that RSABSSA-SHA384-PSS-Deterministic fixes. */
export const SALT_LENGTH = 48
const HASH_LENGTH = 48

const sha384 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha384')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** MGF1 with SHA-384. RFC 8017 appendix B.2.1. */
export function mgf1(seed: Uint8Array, length: number): Uint8Array {
  const blocks: Buffer[] = []
  for (let counter = 0; counter * HASH_LENGTH < length; counter++) {
    const octets = Buffer.alloc(4)
    octets.writeUInt32BE(counter)
    blocks.push(sha384(seed, octets))
  }
  return Buffer.concat(blocks).subarray(0, length)
}

/**
 * EMSA-PSS-ENCODE with SHA-384, MGF1 with SHA-384 and a given salt. RFC 8017 section 9.1.1:
 *
 *     M' = (0x)00 00 00 00 00 00 00 00 || mHash || salt
 *     H = Hash(M')
 *     DB = PS || 0x01 || salt
 *     maskedDB = DB xor MGF(H, emLen - hLen - 1)
 *     EM = maskedDB || H || 0xbc
 *
 * @param emBits the modulus' bits less one. RFC 9474 section 4.2 says `bit_len(n)` there; RFC 8017 section 8.1.1,
 * which its Finalize verifies by, and the published vectors mean one bit less.
 * @param salt 48 bytes, or none for the PSSZERO variants
 * @throws {TokenError} `TOKEN_KEY` when the modulus is too short to hold hash and salt.
 */
export function emsaPssEncode(message: Uint8Array, emBits: number, salt: Uint8Array): Uint8Array {
  const length = Math.ceil(emBits / 8)
  if (length < HASH_LENGTH + salt.length + 2)
    throw new TokenError(
      'TOKEN_KEY',
      `A modulus of ${emBits + 1} bits is too short for RSASSA-PSS with SHA-384.`,
    )
  const h = sha384(Buffer.alloc(8), sha384(message), salt)
  const db = Buffer.alloc(length - HASH_LENGTH - 1)
  db[db.length - salt.length - 1] = 1
  db.set(salt, db.length - salt.length)
  const mask = mgf1(h, db.length)
  const masked = db.map((byte, index) => byte ^ (mask[index] ?? 0))
  // "Set the leftmost 8emLen - emBits bits of the leftmost octet in maskedDB to zero."
  masked[0] = (masked[0] ?? 0) & (0xff >> (8 * length - emBits))
  return Buffer.concat([masked, h, Uint8Array.of(0xbc)])
}
