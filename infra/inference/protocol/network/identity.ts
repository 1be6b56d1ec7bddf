import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'

/** An Ed25519 public key (RFC 8032) by which an operator's gateway, node or mint is known. */
export type Identity = {
  /** 32 bytes. */
  readonly bytes: Uint8Array
  /** The same as base64url, 43 characters: how a person and a file name it. */
  readonly text: string
  readonly handle: KeyObject
}

/** What signs for an identity. */
export type IdentityKey = { readonly identity: Identity; readonly privateKey: KeyObject }

/** Bytes of a signature. */
export const signatureLength = 64

/** A text that names no Ed25519 key. */
export class IdentityError extends InvalidInputError {
  override readonly name = 'IdentityError'
  constructor(what: string) {
    super(`${what} is no Ed25519 public key.`, {
      code: 'NETWORK_IDENTITY',
      fix: 'Give the 43 characters of base64url that the operator publishes.',
    })
  }
}

/** Makes an identity. */
export const generateIdentity = (): IdentityKey => importIdentityKey(randomBytes(32))

/**
 * The identity of a seed.
 *
 * @param seed the private key of RFC 8032, section 5.1.5: 32 bytes
 */
export function importIdentityKey(seed: Uint8Array): IdentityKey {
  // PKCS #8 (RFC 8410, section 7) up to the seed: importing one as JWK would want the public key too.
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  return { identity: readIdentity(x), privateKey }
}

/** The seed of an identity, 32 bytes, to be kept secret. */
export const exportIdentityKey = ({ privateKey }: IdentityKey): Uint8Array =>
  new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32))

/**
 * Reads an identity as a person or a file gives it.
 *
 * @param text base64url without padding
 * @throws IdentityError
 */
export function readIdentity(text: string): Identity {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== text) throw new IdentityError('The identity')
  const handle = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: text }, format: 'jwk' })
  return { bytes: new Uint8Array(bytes), text, handle }
}

/** Signs with Ed25519: 64 bytes. Every caller puts a label of its own in front, so that no signature is two things. */
export const sign = ({ privateKey }: IdentityKey, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(signBytes(null, bytes, privateKey))

/** Whether a signature is that identity's. */
export const verify = ({ handle }: Identity, bytes: Uint8Array, signature: Uint8Array): boolean =>
  signature.length === signatureLength && verifyBytes(null, bytes, handle, signature)
