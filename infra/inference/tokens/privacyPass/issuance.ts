import { type Blinded, blind } from '../blindRsa/blind.ts'
import { blindSign, requireSignable } from '../blindRsa/blindSign.ts'
import { finalize } from '../blindRsa/finalize.ts'
import type { TokenKeyPair, TokenPublicKey } from '../blindRsa/keys.ts'
import { concat, malformed, readBytes, requireLength, uint } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import {
  AUTHENTICATOR_LENGTH,
  type AuthenticatorInput,
  encodeAuthenticatorInput,
  TOKEN_TYPE,
  type Token,
} from './token.ts'

/** Asks an issuer for a signature. It says nothing of the token that comes of it. */
export type TokenRequest = {
  /** The last byte of the key's id; all of it would let an issuer tell clients apart. */
  readonly truncatedTokenKeyId: number
  readonly blindedMessage: Uint8Array
}

/**
 * The request on the wire, `application/private-token-request`. RFC 9578 section 6.1:
 *
 *     struct {
 *       uint16_t token_type = 0x0002; // Type Blind RSA (2048-bit)
 *       uint8_t truncated_token_key_id;
 *       uint8_t blinded_msg[Nk];
 *     } TokenRequest;
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function encodeTokenRequest({ truncatedTokenKeyId, blindedMessage }: TokenRequest): Uint8Array {
  requireLength('blinded message', blindedMessage, AUTHENTICATOR_LENGTH)
  if (!Number.isInteger(truncatedTokenKeyId) || truncatedTokenKeyId < 0 || truncatedTokenKeyId > 255)
    throw malformed('TokenRequest', 'has a truncated key id beyond 8 bits')
  return concat(uint(TOKEN_TYPE, 2), uint(truncatedTokenKeyId, 1), blindedMessage)
}

/** Reads what {@link encodeTokenRequest} writes. @throws {TokenError} `TOKEN_FORMAT` */
export function decodeTokenRequest(bytes: Uint8Array): TokenRequest {
  const reader = readBytes('TokenRequest', bytes)
  if (reader.uint(2) !== TOKEN_TYPE) throw malformed('TokenRequest', 'is of another type than 0x0002')
  const truncatedTokenKeyId = reader.uint(1)
  const blindedMessage = reader.take(AUTHENTICATOR_LENGTH)
  reader.end()
  return { truncatedTokenKeyId, blindedMessage }
}

/**
 * The response on the wire, `application/private-token-response`. RFC 9578 section 6.2:
 *
 *     struct {
 *       uint8_t blind_sig[Nk];
 *     } TokenResponse;
 *
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function encodeTokenResponse(blindSignature: Uint8Array): Uint8Array {
  requireLength('TokenResponse', blindSignature, AUTHENTICATOR_LENGTH)
  return Uint8Array.from(blindSignature)
}

/** Reads what {@link encodeTokenResponse} writes: the blind signature. @throws {TokenError} `TOKEN_FORMAT` */
export function decodeTokenResponse(bytes: Uint8Array): Uint8Array {
  requireLength('TokenResponse', bytes, AUTHENTICATOR_LENGTH)
  return Uint8Array.from(bytes)
}

/** What a token is made of before anybody signed it. Nonce, salt and blind are secret, and new for each token. */
export type TokenSecrets = {
  /** 32 bytes. */
  readonly nonce: Uint8Array
  /** 48 bytes. */
  readonly salt: Uint8Array
  /** From 1 to n - 1. */
  readonly blind: bigint
}

/** A token that waits for its signature. */
export type PendingToken = {
  readonly request: TokenRequest
  readonly input: AuthenticatorInput
  readonly publicKey: TokenPublicKey
  readonly inverse: Blinded['inverse']
}

/**
 * The client's first step, RFC 9578 section 6.1:
 *
 *     token_input = concat(0x0002, // Token type field is 2 bytes long
 *                          nonce,
 *                          challenge_digest,
 *                          token_key_id)
 *     blinded_msg, blind_inv =
 *       Blind(pkI, PrepareIdentity(token_input))
 *
 * @throws {TokenError} `TOKEN_FORMAT` or `TOKEN_KEY`
 */
export function requestToken(parameters: {
  readonly publicKey: TokenPublicKey
  /** 32 bytes, of the challenge that the token shall answer. */
  readonly challengeDigest: Uint8Array
  readonly secrets: TokenSecrets
}): PendingToken {
  const { publicKey, challengeDigest, secrets } = parameters
  requireLength('salt', secrets.salt, 48)
  const input = { nonce: secrets.nonce, challengeDigest, tokenKeyId: publicKey.id }
  const message = encodeAuthenticatorInput(input)
  const { blindedMessage, inverse } = blind({ publicKey, message, salt: secrets.salt, blind: secrets.blind })
  return {
    request: { truncatedTokenKeyId: truncatedId(publicKey), blindedMessage },
    input,
    publicKey,
    inverse,
  }
}

/**
 * The issuer's step, RFC 9578 section 6.2: `blind_sig = BlindSign(skI, TokenRequest.blinded_msg)`. The answer to any
 * error of it is status 422.
 *
 * @param keys those that are signed with now; the first whose id ends in the byte of the request signs
 * @returns the blind signature; the same request gives the same one
 * @throws {TokenError} `TOKEN_KEY_UNKNOWN`, `BLINDED_MESSAGE` or `SIGNING_FAILED`
 */
export function issueToken(keys: readonly TokenKeyPair[], request: TokenRequest): Uint8Array {
  return blindSign(keyFor(keys, request), request.blindedMessage)
}

/**
 * Whether a request could be signed, without signing it: for who has to know before taking a payment.
 *
 * @throws {TokenError} `TOKEN_KEY_UNKNOWN` or `BLINDED_MESSAGE`
 */
export function requireIssuable(keys: readonly TokenKeyPair[], request: TokenRequest): void {
  requireSignable(keyFor(keys, request).publicKey, request.blindedMessage)
}

function keyFor(keys: readonly TokenKeyPair[], { truncatedTokenKeyId }: TokenRequest): TokenKeyPair {
  const pair = keys.find(({ publicKey }) => truncatedId(publicKey) === truncatedTokenKeyId)
  if (pair !== undefined) return pair
  throw new TokenError('TOKEN_KEY_UNKNOWN', 'The request is for a key that does not sign here.', {
    fix: "Fetch the issuer's keys again.",
  })
}

/**
 * The client's last step, RFC 9578 section 6.3:
 *
 *     authenticator =
 *       Finalize(pkI, PrepareIdentity(token_input), blind_sig, blind_inv)
 *
 * @throws {TokenError} `TOKEN_SIGNATURE` when the issuer signed with another key, or not at all.
 */
export function finalizeToken(
  { input, publicKey, inverse }: PendingToken,
  blindSignature: Uint8Array,
): Token {
  const message = encodeAuthenticatorInput(input)
  return { ...input, authenticator: finalize({ publicKey, message, blindSignature, inverse }) }
}

/** "The least significant byte of the token_key_id in network byte order (in other words, the last 8 bits)." */
const truncatedId = ({ id }: TokenPublicKey): number => id[id.length - 1] ?? 0
