import { ByteReader } from '../binary/byteReader.ts'
import { ByteWriter } from '../binary/byteWriter.ts'
import { MalformedMessageError, UnencodableMessageError, UnsupportedKeyConfigError } from '../errors.ts'
import { suiteIds, suiteLengths } from '../hpke/suite.ts'

/** A combination of KDF and AEAD, by their numbers in RFC 9180, sections 7.2 and 7.3. */
export type SymmetricAlgorithm = { readonly kdfId: number; readonly aeadId: number }

/** A key configuration of DHKEM(X25519, HKDF-SHA256), the one KEM of this network. */
export type KeyConfig = {
  /** 0 to 255. */
  readonly keyId: number
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** At least one, in the gateway's order of preference. */
  readonly algorithms: readonly SymmetricAlgorithm[]
}

/**
 * Encodes a collection of key configurations as `application/ohttp-keys` (RFC 9458, section 3.2): "Each encoded
 * configuration is prefixed with a 2-byte integer in network byte order that indicates the length of the key
 * configuration in bytes."
 *
 *     HPKE Symmetric Algorithms {
 *       HPKE KDF ID (16),
 *       HPKE AEAD ID (16),
 *     }
 *
 *     Key Config {
 *       Key Identifier (8),
 *       HPKE KEM ID (16),
 *       HPKE Public Key (Npk * 8),
 *       HPKE Symmetric Algorithms Length (16) = 4..65532,
 *       HPKE Symmetric Algorithms (32) ...,
 *     }
 *
 * (RFC 9458, section 3.1)
 *
 * @throws UnencodableMessageError if a value does not fit, or there is no configuration or no algorithm
 */
export function encodeKeyConfigs(configs: readonly KeyConfig[]): Uint8Array {
  if (configs.length === 0) throw new UnencodableMessageError('has no key configuration')
  const writer = new ByteWriter()
  for (const config of configs) {
    const encoded = encodeKeyConfig(config)
    writer.uint16(encoded.length).bytes(encoded)
  }
  return writer.finish()
}

/**
 * Encodes one key configuration, without a length before it (RFC 9458, section 3.1).
 *
 * @throws UnencodableMessageError if a value does not fit, or there is no algorithm
 */
export function encodeKeyConfig({ keyId, publicKey, algorithms }: KeyConfig): Uint8Array {
  if (publicKey.length !== suiteLengths.Npk)
    throw new UnencodableMessageError('has a public key that is not 32 bytes long')
  if (algorithms.length === 0) throw new UnencodableMessageError('has a key configuration without algorithms')
  const writer = new ByteWriter().uint8(keyId).uint16(suiteIds.kem).bytes(publicKey)
  writer.uint16(algorithms.length * 4)
  for (const { kdfId, aeadId } of algorithms) writer.uint16(kdfId).uint16(aeadId)
  return writer.finish()
}

/**
 * Decodes `application/ohttp-keys` (RFC 9458, section 3.2).
 *
 * Configurations of other KEMs are left out, since not even the length of their key is known here. One that is
 * badly encoded spoils the collection: "Clients MUST discard incorrectly encoded key configuration
 * collections", because what different clients recover from one would tell them apart.
 *
 * @throws TruncatedMessageError, MalformedMessageError
 */
export function decodeKeyConfigs(bytes: Uint8Array): KeyConfig[] {
  const reader = new ByteReader(bytes, 'a key configuration')
  if (reader.remaining === 0) throw new MalformedMessageError('has no key configuration')
  const configs: KeyConfig[] = []
  while (reader.remaining > 0) {
    const config = decodeKeyConfig(reader.bytes(reader.uint16()))
    if (config !== undefined) configs.push(config)
  }
  return configs
}

/**
 * Decodes one key configuration (RFC 9458, section 3.1).
 *
 * @returns `undefined` if it is for another KEM
 * @throws TruncatedMessageError, MalformedMessageError
 */
export function decodeKeyConfig(bytes: Uint8Array): KeyConfig | undefined {
  const reader = new ByteReader(bytes, 'a key configuration')
  const keyId = reader.uint8()
  if (reader.uint16() !== suiteIds.kem) return undefined
  const publicKey = reader.bytes(suiteLengths.Npk).slice()
  const length = reader.uint16()
  if (length < 4 || length % 4 !== 0)
    throw new MalformedMessageError('has a key configuration with a wrong length of algorithms')
  const algorithms: SymmetricAlgorithm[] = []
  for (let index = 0; index < length; index += 4)
    algorithms.push({ kdfId: reader.uint16(), aeadId: reader.uint16() })
  if (reader.remaining > 0) throw new MalformedMessageError('has bytes behind a key configuration')
  return { keyId, publicKey, algorithms }
}

/**
 * The first configuration that offers HKDF-SHA256 with AES-128-GCM: the same for every client.
 *
 * @throws UnsupportedKeyConfigError if there is none
 */
export function selectKeyConfig(configs: readonly KeyConfig[]): KeyConfig {
  const selected = configs.find(isSupported)
  if (selected === undefined) throw new UnsupportedKeyConfigError()
  return selected
}

/** Whether a configuration offers the symmetric algorithms of this network. */
export function isSupported({ algorithms }: KeyConfig): boolean {
  return algorithms.some(({ kdfId, aeadId }) => kdfId === suiteIds.kdf && aeadId === suiteIds.aead)
}
