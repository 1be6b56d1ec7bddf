import { verify } from '../blindRsa/finalize.ts'
import type { TokenPublicKey } from '../blindRsa/keys.ts'
import { sameBytes, toHex } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import { decodeToken, encodeAuthenticatorInput, nullifierOf } from './token.ts'
import { challengeDigest, type TokenChallenge } from './tokenChallenge.ts'

/** Whose tokens are taken, and which challenge they have to be for. */
export type AcceptedIssuer = { readonly publicKey: TokenPublicKey; readonly challenge: TokenChallenge }

export type RedeemedToken = {
  /** What it is remembered by. 32 bytes. Valid is not yet unspent: that is the nullifier store's to say. */
  readonly nullifier: Uint8Array
  /** Which key signed it, 32 bytes. */
  readonly tokenKeyId: Uint8Array
}

/**
 * Makes the check of tokens that a gateway redeems, RFC 9577 section 2.2.3 and RFC 9578 section 6.4: of a known key,
 * for this gateway's own challenge, with a signature that verifies. The digests are computed once, here.
 *
 * @throws {TokenError} from the check: `TOKEN_FORMAT`, `TOKEN_KEY_UNKNOWN`, `TOKEN_CHALLENGE` or `TOKEN_SIGNATURE`
 * @example const redeem = createRedeemer([{ publicKey: mint, challenge: gatewayChallenge(…) }])
 */
export function createRedeemer(accepted: readonly AcceptedIssuer[]): (token: Uint8Array) => RedeemedToken {
  const issuers = new Map(
    accepted.map(({ publicKey, challenge }) => [
      toHex(publicKey.id),
      { publicKey, digest: challengeDigest(challenge) },
    ]),
  )
  return (bytes) => {
    const token = decodeToken(bytes)
    const issuer = issuers.get(toHex(token.tokenKeyId))
    if (issuer === undefined)
      throw new TokenError('TOKEN_KEY_UNKNOWN', 'The token is signed with a key that is not accepted here.', {
        fix: "Fetch the gateway's accepted keys again; tokens of a key that has ended are worth nothing.",
      })
    if (!sameBytes(token.challengeDigest, issuer.digest))
      throw new TokenError('TOKEN_CHALLENGE', 'The token is for another gateway or another challenge.', {
        fix: 'Spend it where it was made for.',
      })
    const message = encodeAuthenticatorInput(token)
    if (!verify({ publicKey: issuer.publicKey, message, signature: token.authenticator }))
      throw new TokenError('TOKEN_SIGNATURE', "The token's signature does not verify.", {
        fix: 'Send the token as it was issued.',
      })
    return { nullifier: nullifierOf(token), tokenKeyId: token.tokenKeyId }
  }
}
