import { createHash } from 'node:crypto'
import { UnencodableMessageError } from '../errors.ts'

/** Bytes of REPORTDATA, which a trust domain chooses and its quote carries (Intel TDX DCAP Quoting Library API, A.3.2). */
export const reportDataLength = 64

/** Tells this use of report data from every other. The byte 0x00 behind it ends it. */
const label = 'rialto node attestation v1'

/**
 * What a node has quoted, so that the quote holds for its identity and its keys and for no others:
 *
 *     SHA-512("rialto node attestation v1" || 0x00 || identity || SHA-256(keyConfigs))
 *
 * A prompt that is sealed to one of these keys is then readable by what the quote measures, as long as that code
 * keeps the private keys to itself.
 *
 * @param parameters.identity the node's Ed25519 public key, 32 bytes
 * @param parameters.keyConfigs the node's keys as `application/ohttp-keys` (RFC 9458, section 3.2), byte for byte as
 *   it publishes them
 * @returns 64 bytes
 * @throws UnencodableMessageError when the identity is not 32 bytes long or there are no keys
 * @example
 * reportDataFor({ identity: identity.bytes, keyConfigs: keys }).length // 64
 */
export function reportDataFor({
  identity,
  keyConfigs,
}: {
  readonly identity: Uint8Array
  readonly keyConfigs: Uint8Array
}): Uint8Array {
  // Of a fixed length each, so that no two pairs give the same input.
  if (identity.length !== 32) throw new UnencodableMessageError('has an identity that is not 32 bytes long')
  if (keyConfigs.length === 0) throw new UnencodableMessageError('has no key configuration')
  const digest = createHash('sha512')
    .update(`${label}\0`)
    .update(identity)
    .update(createHash('sha256').update(keyConfigs).digest())
    .digest()
  return new Uint8Array(digest)
}
