import { TokenError } from '../errors.ts'
import { modInverse, modPow, toInteger, toOctets } from './integers.ts'
import type { BlindRsaPublicKey } from './keys.ts'
import { emsaPssEncode } from './pss.ts'

export type BlindParameters = {
  readonly publicKey: BlindRsaPublicKey
  /** The message as it is signed: PrepareIdentity changes nothing. */
  readonly message: Uint8Array
  /** 48 random bytes; none for the PSSZERO variants. */
  readonly salt: Uint8Array
  /** `r`, drawn evenly from 1 to n - 1. */
  readonly blind: bigint
}

export type Blinded = {
  /** As long as the modulus. */
  readonly blindedMessage: Uint8Array
  /** What {@link finalize} takes the blinding off with. It links request and token: keep it secret. */
  readonly inverse: bigint
}

/**
 * Blind of RSABSSA-SHA384-PSS-Deterministic, RFC 9474 section 4.2, with the salt and the blinding factor given:
 *
 *     1. encoded_msg = EMSA-PSS-ENCODE(msg, bit_len(n))
 *     3. m = bytes_to_int(encoded_msg)
 *     4. c = is_coprime(m, n)
 *     6. r = random_integer_uniform(1, n)
 *     7. inv = inverse_mod(r, n)
 *     9. x = RSAVP1(pk, r)
 *     10. z = (m * x) mod n
 *
 * "Deterministic" is about the message, which gets no random prefix. Salt and blind must differ for each token all
 * the same, and be secret.
 *
 * @throws {TokenError} `TOKEN_KEY` when the blind or the message has a factor in common with the modulus.
 */
export function blind({ publicKey, message, salt, blind: r }: BlindParameters): Blinded {
  const { n, e, bits, length } = publicKey
  const m = toInteger(emsaPssEncode(message, bits - 1, salt))
  // Steps 4 and 7 in one pass of Euclid, which is what takes the time: the product has an inverse just when both
  // factors have one, and the inverse of r is m times that of the product.
  const both = r > 0n && r < n ? modInverse((m * r) % n, n) : null
  if (both === null) throw shared()
  return { blindedMessage: toOctets((m * modPow(r, e, n)) % n, length), inverse: (m * both) % n }
}

const shared = (): TokenError =>
  new TokenError('TOKEN_KEY', 'The message cannot be blinded for this key.', {
    fix: 'Ask the issuer for its key again: a modulus of two large primes would not do this.',
  })
