import { ByteReader } from '../binary/byteReader.ts'
import { concatBytes } from '../binary/bytes.ts'
import { ByteWriter } from '../binary/byteWriter.ts'
import { MalformedMessageError, UnencodableMessageError } from '../errors.ts'

/** Bytes of a Token of type 0x0002 (RFC 9577, section 2.2.1, with Nk = 256). */
export const tokenLength = 354
/** Bytes of a TokenRequest of type 0x0002 (RFC 9578, section 6.1). */
export const tokenRequestLength = 259
/** Bytes of a TokenResponse of type 0x0002 (RFC 9578, section 6.2). */
export const tokenResponseLength = 256
/** Most tokens of one payment, and what every payment is padded to: how many were paid shows in no length. */
const mostTokens = 16
/** Bytes of a token with a request for its change. */
const pairLength = tokenLength + tokenRequestLength

const version = 1

/** Tokens, and as many requests for change, with what they pay for. */
export type Payment = {
  /** Token structs, one ceiling class of them. */
  readonly tokens: readonly Uint8Array[]
  /** TokenRequest structs for the gateway's change key, as many as tokens. */
  readonly changeRequests: readonly Uint8Array[]
}

/** A payment with the sealed request that it is for. */
export type PaidRequest = Payment & {
  /** `message/ohttp-chunked-req` for the node. */
  readonly innerRequest: Uint8Array
}

/** A payment that was made before, whose change is asked for again. */
export type ReclaimRequest = Payment & {
  /** SHA-256 of the sealed request that it was for, 32 bytes. */
  readonly innerRequestHash: Uint8Array
}

/**
 * Encodes `application/vnd.rialto.paid-request`:
 *
 *     struct {
 *       uint8 version = 1;
 *       uint8 count;
 *       opaque tokens[count][354];
 *       opaque change_requests[count][259];
 *       opaque zeros[16 - count][613];
 *       opaque inner_request[..];        // up to the end
 *     } PaidRequest;
 *
 * @throws UnencodableMessageError
 */
export const encodePaidRequest = (request: PaidRequest): Uint8Array =>
  concatBytes(encodePayment(request), request.innerRequest)

/** Reads what {@link encodePaidRequest} writes. @throws MalformedMessageError, TruncatedMessageError */
export function decodePaidRequest(bytes: Uint8Array): PaidRequest {
  const reader = new ByteReader(bytes, 'a paid request')
  return { ...decodePayment(reader), innerRequest: reader.rest() }
}

/**
 * Encodes `application/vnd.rialto.reclaim`: a PaidRequest with `opaque inner_request_hash[32]` for the request.
 *
 * @throws UnencodableMessageError
 */
export function encodeReclaim(request: ReclaimRequest): Uint8Array {
  if (request.innerRequestHash.length !== 32)
    throw new UnencodableMessageError('has a hash that is not 32 bytes long')
  return concatBytes(encodePayment(request), request.innerRequestHash)
}

/** Reads what {@link encodeReclaim} writes. @throws MalformedMessageError, TruncatedMessageError */
export function decodeReclaim(bytes: Uint8Array): ReclaimRequest {
  const reader = new ByteReader(bytes, 'a reclaim')
  const request = { ...decodePayment(reader), innerRequestHash: reader.bytes(32).slice() }
  if (reader.remaining > 0) throw new MalformedMessageError('has bytes behind a reclaim')
  return request
}

function encodePayment({ tokens, changeRequests }: Payment): Uint8Array {
  const count = tokens.length
  if (count === 0 || count > mostTokens || changeRequests.length !== count)
    throw new UnencodableMessageError(
      `has a payment that is not 1 to ${mostTokens} tokens with as many requests`,
    )
  if (
    tokens.some((token) => token.length !== tokenLength) ||
    changeRequests.some((request) => request.length !== tokenRequestLength)
  )
    throw new UnencodableMessageError('has a token or a token request of a wrong length')
  const padding = new Uint8Array((mostTokens - count) * pairLength)
  return concatBytes(Uint8Array.of(version, count), ...tokens, ...changeRequests, padding)
}

function decodePayment(reader: ByteReader): Payment {
  if (reader.uint8() !== version) throw new MalformedMessageError('has a payment of an unknown version')
  const count = reader.uint8()
  if (count === 0 || count > mostTokens)
    throw new MalformedMessageError(`has a payment of not 1 to ${mostTokens} tokens`)
  const take = (length: number) => Array.from({ length: count }, () => reader.bytes(length).slice())
  const payment = { tokens: take(tokenLength), changeRequests: take(tokenRequestLength) }
  reader.bytes((mostTokens - count) * pairLength)
  return payment
}

/** What comes back of a payment. */
export type Change = {
  /** How many tokens were paid. */
  readonly paid: number
  /** TokenResponse structs for the first of the change requests. */
  readonly responses: readonly Uint8Array[]
}

/**
 * Encodes the trailer `rialto-change`, before base64url. It has the same length whatever was paid and comes back, so
 * that nobody who sees the length of the answer learns what it cost:
 *
 *     struct {
 *       uint8 paid;                      // at most 16
 *       uint8 returned;                  // at most paid
 *       opaque responses[returned][256];
 *       opaque zeros[16 - returned][256];
 *     } Change;
 *
 * @throws UnencodableMessageError
 */
export function encodeChange({ paid, responses }: Change): Uint8Array {
  if (
    paid > mostTokens ||
    responses.length > paid ||
    responses.some((each) => each.length !== tokenResponseLength)
  )
    throw new UnencodableMessageError('has more change than was paid, or of a wrong length')
  const writer = new ByteWriter().uint8(paid).uint8(responses.length)
  for (const response of responses) writer.bytes(response)
  return writer.bytes(new Uint8Array((mostTokens - responses.length) * tokenResponseLength)).finish()
}

/** Reads what {@link encodeChange} writes. @throws MalformedMessageError, TruncatedMessageError */
export function decodeChange(bytes: Uint8Array): Change {
  const reader = new ByteReader(bytes, 'change')
  const paid = reader.uint8()
  const returned = reader.uint8()
  if (paid > mostTokens || returned > paid) throw new MalformedMessageError('has more change than was paid')
  const responses = Array.from({ length: returned }, () => reader.bytes(tokenResponseLength).slice())
  reader.bytes((mostTokens - returned) * tokenResponseLength)
  if (reader.remaining > 0) throw new MalformedMessageError('has bytes behind change')
  return { paid, responses }
}
