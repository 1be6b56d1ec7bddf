import { ByteReader } from '../binary/byteReader.ts'
import { byteStringToBytes, concatBytes } from '../binary/bytes.ts'
import { MalformedMessageError } from '../errors.ts'
import { type Identity, type IdentityKey, sign, signatureLength, verify } from './identity.ts'
import { fromBase64Url, toBase64Url, uint64 } from './text.ts'

/** That a gateway has taken payment for one sealed request to one node. */
export type Authorization = {
  /** How many payment tokens were redeemed for it: the most that the node may charge. */
  readonly ceiling: number
  /** Milliseconds since 1970. */
  readonly issuedAt: number
}

/** What an authorization is bound to. */
export type AuthorizedRequest = {
  readonly node: Identity
  /** SHA-256 of the sealed request, 32 bytes. */
  readonly innerRequestHash: Uint8Array
}

/** An authorization may be so old, in milliseconds; clocks may differ by as much. */
export const authorizationLifetime = 60_000

const label = byteStringToBytes('rialto authorization v1\0')

const signedBytes = ({ ceiling, issuedAt }: Authorization, { node, innerRequestHash }: AuthorizedRequest) =>
  concatBytes(label, node.bytes, innerRequestHash, Uint8Array.of(ceiling), uint64(issuedAt))

/**
 * The value of `rialto-authorization`: base64url of
 *
 *     struct {
 *       uint8 ceiling;
 *       uint64 issued_at;
 *       opaque signature[64];
 *     } Authorization;
 *
 * with the gateway's Ed25519 signature over
 * `"rialto authorization v1" || 0x00 || node_identity[32] || inner_request_hash[32] || ceiling || issued_at`.
 */
export const createAuthorization = (
  gateway: IdentityKey,
  authorization: Authorization,
  request: AuthorizedRequest,
): string =>
  toBase64Url(
    concatBytes(
      Uint8Array.of(authorization.ceiling),
      uint64(authorization.issuedAt),
      sign(gateway, signedBytes(authorization, request)),
    ),
  )

/**
 * Reads and checks what {@link createAuthorization} wrote. Whether it was used before is not known here: the node
 * remembers every `enc` that it opened.
 *
 * @param gateways whose requests the node serves
 * @returns undefined when no such gateway signed it for this request, or it is too old or from the future
 * @throws MalformedMessageError, TruncatedMessageError when it is none
 */
export function checkAuthorization(
  value: string,
  parameters: AuthorizedRequest & { readonly gateways: readonly Identity[]; readonly now: number },
): (Authorization & { readonly gateway: Identity }) | undefined {
  const reader = new ByteReader(fromBase64Url(value, 'an authorization'), 'an authorization')
  const ceiling = reader.uint8()
  const issuedAt = Number(new DataView(reader.bytes(8).slice().buffer).getBigUint64(0))
  const signature = reader.bytes(signatureLength)
  if (reader.remaining > 0) throw new MalformedMessageError('has bytes behind an authorization')
  if (Math.abs(parameters.now - issuedAt) > authorizationLifetime) return undefined
  const authorization = { ceiling, issuedAt }
  const bytes = signedBytes(authorization, parameters)
  const gateway = parameters.gateways.find((each) => verify(each, bytes, signature))
  return gateway === undefined ? undefined : { ...authorization, gateway }
}
