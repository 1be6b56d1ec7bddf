import { ByteReader } from '../binary/byteReader.ts'
import { byteStringToBytes, concatBytes, equalBytes } from '../binary/bytes.ts'
import { ByteWriter } from '../binary/byteWriter.ts'
import { UnknownKeyError, UnsupportedKeyConfigError } from '../errors.ts'
import {
  type ExportingContext,
  type HpkePrivateKey,
  type HpkePublicKey,
  type HpkeSuite,
  type PreparedInfo,
  suiteIds,
  suiteLengths,
} from '../hpke/suite.ts'
import { isSupported, type KeyConfig } from './keyConfig.ts'

/** A gateway's key as its clients hold it: everything that does not change from request to request. */
export type OhttpKey = {
  readonly suite: HpkeSuite
  readonly keyId: number
  readonly publicKey: HpkePublicKey
  /** `hdr` of RFC 9458, section 4.3: 7 bytes. */
  readonly header: Uint8Array
  /** `info` for `message/ohttp-req`. */
  readonly requestInfo: PreparedInfo
  /** `info` for `message/ohttp-chunked-req`. */
  readonly chunkedRequestInfo: PreparedInfo
}

/** A gateway's own key. */
export type GatewayKey = OhttpKey & { readonly privateKey: HpkePrivateKey }

/** The keys that a gateway accepts at this time, by their identifier. */
export type GatewayKeys = ReadonlyMap<number, GatewayKey>

/** What ties a response to its request: the HPKE context of one exchange, on either side. */
export type OhttpExchange = ExportingContext & { readonly suite: HpkeSuite }

/** Length of {@link OhttpKey.header}, in bytes. */
const headerLength = 7

/** Length of a request's header with its encapsulated key, in bytes. */
export const requestHeaderLength = headerLength + suiteLengths.Nenc

/**
 * Prepares a gateway's key for encapsulating requests.
 *
 * @throws UnsupportedKeyConfigError if it does not offer this network's suite
 * @throws InvalidKeyError if its key is not 32 bytes
 */
export async function createOhttpKey(suite: HpkeSuite, config: KeyConfig): Promise<OhttpKey> {
  if (!isSupported(config)) throw new UnsupportedKeyConfigError()
  return prepareKey(suite, config.keyId, await suite.importPublicKey(config.publicKey))
}

/**
 * Prepares a gateway's own key for decapsulating requests.
 *
 * @param keyId 0 to 255
 * @param privateKey a key of the same suite
 */
export async function createGatewayKey(
  suite: HpkeSuite,
  keyId: number,
  privateKey: HpkePrivateKey,
): Promise<GatewayKey> {
  return { ...(await prepareKey(suite, keyId, privateKey.publicKey)), privateKey }
}

/** The configuration that a gateway publishes for its key. */
export function keyConfigOf({ keyId, publicKey }: OhttpKey): KeyConfig {
  return {
    keyId,
    publicKey: publicKey.bytes,
    algorithms: [{ kdfId: suiteIds.kdf, aeadId: suiteIds.aead }],
  }
}

/**
 *     hdr = concat(encode(1, key_id),
 *                  encode(2, kem_id),
 *                  encode(2, kdf_id),
 *                  encode(2, aead_id))
 *     info = concat(encode_str("message/bhttp request"),
 *                   encode(1, 0),
 *                   hdr)
 *
 * (RFC 9458, section 4.3; chunked OHTTP, section 6.1, has `"message/bhttp chunked request"`)
 */
async function prepareKey(suite: HpkeSuite, keyId: number, publicKey: HpkePublicKey): Promise<OhttpKey> {
  const header = new ByteWriter()
    .uint8(keyId)
    .uint16(suiteIds.kem)
    .uint16(suiteIds.kdf)
    .uint16(suiteIds.aead)
    .finish()
  const prepare = (label: string) =>
    suite.prepareInfo(concatBytes(byteStringToBytes(label), Uint8Array.of(0), header))
  return {
    suite,
    keyId,
    publicKey,
    header,
    requestInfo: await prepare('message/bhttp request'),
    chunkedRequestInfo: await prepare('message/bhttp chunked request'),
  }
}

/**
 * Reads what precedes the protected part of an encapsulated request.
 *
 *     Key Identifier (8),
 *     HPKE KEM ID (16),
 *     HPKE KDF ID (16),
 *     HPKE AEAD ID (16),
 *     Encapsulated KEM Shared Secret (8 * Nenc),
 *
 * (RFC 9458, section 4.1)
 *
 * @throws TruncatedMessageError
 * @throws UnknownKeyError if the key or the suite is none of the gateway's
 */
export function readRequestHeader(
  bytes: Uint8Array,
  keys: GatewayKeys,
): { readonly key: GatewayKey; readonly enc: Uint8Array } {
  const reader = new ByteReader(bytes, 'the header of an encapsulated request')
  const header = reader.bytes(headerLength)
  const enc = reader.bytes(suiteLengths.Nenc)
  const keyId = header[0] ?? 0
  const key = keys.get(keyId)
  if (key === undefined || !equalBytes(header, key.header)) throw new UnknownKeyError(keyId)
  return { key, enc }
}
