import { concat, malformed, readBytes, requireLength, sha256, uint } from '../bytes.ts'

/** Blind RSA (2048-bit), the publicly verifiable token type of RFC 9578 section 6. */
export const TOKEN_TYPE = 0x0002
/** Nk of RFC 9578 section 8.2.2: bytes of an authenticator, a blinded message and a blind signature. */
export const AUTHENTICATOR_LENGTH = 256
/** Bytes of a {@link Token} on the wire. */
export const TOKEN_LENGTH = 2 + 32 + 32 + 32 + AUTHENTICATOR_LENGTH

/** What is signed. Nobody but its owner has seen it before it is spent. */
export type AuthenticatorInput = {
  readonly nonce: Uint8Array
  readonly challengeDigest: Uint8Array
  /** SHA-256 of the issuer's key, 32 bytes (Nid). */
  readonly tokenKeyId: Uint8Array
}

/** A token that can be spent once. */
export type Token = AuthenticatorInput & {
  /** RSASSA-PSS signature over the {@link encodeAuthenticatorInput}. 256 bytes. */
  readonly authenticator: Uint8Array
}

/**
 * What the signature is over. RFC 9577 section 2.2.3:
 *
 *     struct {
 *         uint16_t token_type;
 *         uint8_t nonce[32];
 *         uint8_t challenge_digest[32];
 *         uint8_t token_key_id[Nid];
 *     } AuthenticatorInput;
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function encodeAuthenticatorInput(input: AuthenticatorInput): Uint8Array {
  requireLength('nonce', input.nonce, 32)
  requireLength('challenge digest', input.challengeDigest, 32)
  requireLength('token key id', input.tokenKeyId, 32)
  return concat(uint(TOKEN_TYPE, 2), input.nonce, input.challengeDigest, input.tokenKeyId)
}

/**
 * The token on the wire. RFC 9577 section 2.2.1:
 *
 *     struct {
 *         uint16_t token_type;
 *         uint8_t nonce[32];
 *         uint8_t challenge_digest[32];
 *         uint8_t token_key_id[Nid];
 *         uint8_t authenticator[Nk];
 *     } Token;
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function encodeToken(token: Token): Uint8Array {
  requireLength('authenticator', token.authenticator, AUTHENTICATOR_LENGTH)
  return concat(encodeAuthenticatorInput(token), token.authenticator)
}

/** Reads what {@link encodeToken} writes. @throws {TokenError} `TOKEN_FORMAT`, also for another token type. */
export function decodeToken(bytes: Uint8Array): Token {
  const reader = readBytes('Token', bytes)
  if (reader.uint(2) !== TOKEN_TYPE) throw malformed('Token', 'is of another type than 0x0002')
  const nonce = reader.take(32)
  const challengeDigest = reader.take(32)
  const tokenKeyId = reader.take(32)
  const authenticator = reader.take(AUTHENTICATOR_LENGTH)
  reader.end()
  return { nonce, challengeDigest, tokenKeyId, authenticator }
}

const NULLIFIER_LABEL = Buffer.from('rialto nullifier v1\0')

/**
 * What a token is remembered by once it is spent. 32 bytes.
 *
 * It is a digest of what is signed and not of the signature: PSS has a salt, so one nonce can come with several valid
 * signatures, and they are one token all the same.
 */
export const nullifierOf = (input: AuthenticatorInput): Uint8Array =>
  sha256(NULLIFIER_LABEL, encodeAuthenticatorInput(input))
