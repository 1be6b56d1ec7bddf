import { constants, type KeyObject, privateEncrypt, publicEncrypt } from 'node:crypto'
import { sameBytes } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import type { BlindRsaPublicKey } from './keys.ts'

/**
 * BlindSign, RFC 9474 section 4.3, in OpenSSL, which is constant-time and blinds the operation itself:
 *
 *     1. m = bytes_to_int(blinded_msg)
 *     2. s = RSASP1(sk, m)
 *     3. m' = RSAVP1(pk, s)
 *     4. If m != m', raise "signing failure" and stop
 *
 * Step 3 keeps the result of a faulty computation in: one such signature gives the key away (Boneh, DeMillo and
 * Lipton, 1997).
 *
 * OpenSSL would sign short inputs, 0 and 1. Length and range are checked here, and 0, 1 and n - 1 refused: each is
 * its own signature, up to sign, and no honest client sends one.
 *
 * @throws {TokenError} `BLINDED_MESSAGE` or `SIGNING_FAILED`
 */
export function blindSign(
  { publicKey, privateKey }: { readonly publicKey: BlindRsaPublicKey; readonly privateKey: KeyObject },
  blindedMessage: Uint8Array,
): Uint8Array {
  requireSignable(publicKey, blindedMessage)
  try {
    const signature = privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, blindedMessage)
    const back = publicEncrypt({ key: publicKey.handle, padding: constants.RSA_NO_PADDING }, signature)
    if (sameBytes(back, blindedMessage)) return signature
  } catch {
    // OpenSSL's own words could tell something of the key, so they go no further.
  }
  throw new TokenError('SIGNING_FAILED', 'The signature came out wrong and is withheld.', {
    fix: 'Check that the public key belongs to the private one, then the machine.',
  })
}

/**
 * Whether a blinded message may be signed, without signing it.
 *
 * @throws {TokenError} `BLINDED_MESSAGE` unless it is as long as the modulus and from 2 to n - 2.
 */
export function requireSignable(publicKey: BlindRsaPublicKey, blindedMessage: Uint8Array): void {
  if (blindedMessage.length !== publicKey.length)
    throw refused(`has ${blindedMessage.length} bytes instead of ${publicKey.length}`)
  const most = Uint8Array.from(publicKey.modulus)
  // The modulus is odd, so this is n - 1 and borrows nothing.
  most[most.length - 1] = (most.at(-1) ?? 0) - 1
  const least = new Uint8Array(publicKey.length)
  least[least.length - 1] = 1
  if (Buffer.compare(blindedMessage, least) <= 0 || Buffer.compare(blindedMessage, most) >= 0)
    throw refused('is out of range')
}

const refused = (problem: string): TokenError =>
  new TokenError('BLINDED_MESSAGE', `The blinded message ${problem}.`, {
    fix: 'Blind the message for the key that is to sign it.',
  })
