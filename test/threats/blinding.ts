import { verify } from '../../infra/inference/tokens/blindRsa/finalize.ts'
import { modInverse, modPow, toInteger } from '../../infra/inference/tokens/blindRsa/integers.ts'
import type { BlindRsaPublicKey } from '../../infra/inference/tokens/blindRsa/keys.ts'
import { encodeAuthenticatorInput, type Token } from '../../infra/inference/tokens/privacyPass/token.ts'
import { InvariantError } from '../../runtime/core/errors.ts'

/** What an issuer saw of a token when it signed it. */
export type Issuance = { readonly blindedMessage: Uint8Array; readonly blindSignature: Uint8Array }

/**
 * The blinding factor with which an issuance would have become a token: the only `r` with
 *
 *     blinded_msg = m * r^e  and  blind_sig = sig * r   (mod n)
 *
 * where `m` encodes the token's message (RFC 9474, sections 4.2 and 4.4). A client draws `r` evenly from all there
 * are. So whoever holds issuances, tokens and the issuer's private key learns nothing of which became which, as long
 * as there is such a factor for every pair: each pairing explains what was seen equally well.
 *
 * @returns undefined when the two cannot belong together
 */
export function blindingBetween(
  publicKey: BlindRsaPublicKey,
  { blindedMessage, blindSignature }: Issuance,
  token: Token,
): bigint | undefined {
  const { n, e } = publicKey
  const message = encodeAuthenticatorInput(token)
  if (!verify({ publicKey, message, signature: token.authenticator })) return undefined
  const signature = toInteger(token.authenticator)
  const r = (toInteger(blindSignature) * inverseOf(signature, n)) % n
  const encoded = modPow(signature, e, n)
  const isConsistent = r > 0n && (encoded * modPow(r, e, n)) % n === toInteger(blindedMessage)
  return isConsistent ? r : undefined
}

const inverses = new Map<bigint, bigint>()

/** A signature is tried with many issuances, and its inverse is what takes the time. */
function inverseOf(value: bigint, n: bigint): bigint {
  const known = inverses.get(value)
  if (known !== undefined) return known
  const inverse = modInverse(value, n)
  if (inverse === null) throw new InvariantError('A signature has a factor in common with the modulus.')
  inverses.set(value, inverse)
  return inverse
}
