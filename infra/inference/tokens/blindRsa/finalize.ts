import { constants, verify as verifySignature } from 'node:crypto'
import { TokenError } from '../errors.ts'
import { toInteger, toOctets } from './integers.ts'
import type { BlindRsaPublicKey } from './keys.ts'
import { SALT_LENGTH } from './pss.ts'

export type FinalizeParameters = {
  readonly publicKey: BlindRsaPublicKey
  readonly message: Uint8Array
  readonly blindSignature: Uint8Array
  /** From {@link blind}. */
  readonly inverse: bigint
  /** 48 bytes unless it is a PSSZERO variant. */
  readonly saltLength?: number
}

/**
 * Finalize, RFC 9474 section 4.4:
 *
 *     1. If len(blind_sig) != modulus_len, raise "unexpected input size" and stop
 *     2. z = bytes_to_int(blind_sig)
 *     3. s = (z * inv) mod n
 *     4. sig = int_to_bytes(s, modulus_len)
 *     5. result = RSASSA-PSS-VERIFY(pk, msg, sig)
 *
 * @returns a signature that verifies, as long as the modulus
 * @throws {TokenError} `TOKEN_SIGNATURE` when the issuer answered with anything but its signature.
 */
export function finalize(parameters: FinalizeParameters): Uint8Array {
  const { publicKey, message, blindSignature, inverse, saltLength = SALT_LENGTH } = parameters
  if (blindSignature.length === publicKey.length) {
    const s = (toInteger(blindSignature) * inverse) % publicKey.n
    const signature = toOctets(s, publicKey.length)
    if (verify({ publicKey, message, signature, saltLength })) return signature
  }
  throw new TokenError('TOKEN_SIGNATURE', 'The issuer answered with something that is not its signature.', {
    fix: 'Ask again; if it goes on, the issuer uses another key than it publishes.',
  })
}

export type VerifyParameters = {
  readonly publicKey: BlindRsaPublicKey
  readonly message: Uint8Array
  readonly signature: Uint8Array
  readonly saltLength?: number
}

/**
 * RSASSA-PSS-VERIFY with SHA-384, MGF1 with SHA-384 and a 48-byte salt, RFC 8017 section 8.1.2, synchronously in
 * OpenSSL (18 µs). Never throws: whatever is no signature is false.
 */
export function verify({
  publicKey,
  message,
  signature,
  saltLength = SALT_LENGTH,
}: VerifyParameters): boolean {
  // OpenSSL checks both too; here it costs nothing and does not lean on that.
  if (signature.length !== publicKey.length || Buffer.compare(signature, publicKey.modulus) >= 0) return false
  return verifySignature(
    'sha384',
    message,
    { key: publicKey.handle, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength },
    signature,
  )
}
