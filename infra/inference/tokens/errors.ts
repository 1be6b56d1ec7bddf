import { RialtoError, type RialtoErrorParameters } from '../../../runtime/core/errors.ts'

/**
 * Everything that payment tokens can answer instead of a result. Programs match on these; never rename one.
 *
 * | code | meaning |
 * |---|---|
 * | `TOKEN_FORMAT` | bytes or a header that are none of what was asked for |
 * | `TOKEN_KEY` | a public or private key that is not RSA of the right kind |
 * | `TOKEN_KEY_UNKNOWN` | a token or request names a key that is not accepted here |
 * | `TOKEN_CHALLENGE` | a token was made for another challenge: another gateway, issuer or context |
 * | `TOKEN_SIGNATURE` | a signature, or an issuer's answer, that does not verify |
 * | `BLINDED_MESSAGE` | a blinded message that must not be signed |
 * | `SIGNING_FAILED` | the private-key operation gave a wrong result, which is withheld |
 * | `NULLIFIER_SPENT` | a token was spent already, on something else |
 * | `NULLIFIER_TWICE` | a spend names no token, or one token twice |
 * | `SPEND_UNKNOWN` | a settlement of what was never reserved |
 * | `SPEND_SETTLED` | a second settlement that differs from the first |
 * | `CHANGE_REQUEST` | what asks for change does not fit what was paid |
 * | `CEILING` | no ceiling class covers the cost |
 * | `LOG_UNWRITABLE` | what happened cannot be recorded, so nothing happens |
 * | `LOG_CORRUPT` | a record was damaged or edited |
 * | `LOG_LOCKED` | another process uses the same file |
 * | `STORE_UNAVAILABLE` | a shared store cannot be reached, so nothing happens; the same may succeed later |
 * | `STORE_REFUSED` | a shared store does not let us do what we need there |
 * | `STORE_NOT_DURABLE` | a shared store would forget in a power cut what it acknowledged |
 * | `WALLET_SECRET` | the wallet's passphrase or seed is wrong |
 * | `WALLET_STATE` | a token or spend is not in the state that this step starts from |
 * | `WALLET_EMPTY` | there are fewer tokens than are to be spent |
 */
export const tokenErrorCodes = [
  'TOKEN_FORMAT',
  'TOKEN_KEY',
  'TOKEN_KEY_UNKNOWN',
  'TOKEN_CHALLENGE',
  'TOKEN_SIGNATURE',
  'BLINDED_MESSAGE',
  'SIGNING_FAILED',
  'NULLIFIER_SPENT',
  'NULLIFIER_TWICE',
  'SPEND_UNKNOWN',
  'SPEND_SETTLED',
  'CHANGE_REQUEST',
  'CEILING',
  'LOG_UNWRITABLE',
  'LOG_CORRUPT',
  'LOG_LOCKED',
  'STORE_UNAVAILABLE',
  'STORE_REFUSED',
  'STORE_NOT_DURABLE',
  'WALLET_SECRET',
  'WALLET_STATE',
  'WALLET_EMPTY',
] as const
export type TokenErrorCode = (typeof tokenErrorCodes)[number]

/**
 * An answer of the payment tokens that is no result. It never holds a token, a nullifier, a blinding, a seed or a
 * passphrase: each of them is worth money or links a payment to who made it.
 */
export class TokenError extends RialtoError {
  override readonly name = 'TokenError'
  declare readonly code: TokenErrorCode
  constructor(code: TokenErrorCode, message: string, parameters: RialtoErrorParameters = {}) {
    super(code, message, parameters)
  }
}
