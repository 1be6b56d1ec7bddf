import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  KeyObject,
  randomFillSync,
} from 'node:crypto'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import { DecryptionError, InvalidKeyError } from '../errors.ts'
import { createHpkeSuite } from './createHpkeSuite.ts'
import type { HpkePrimitives } from './primitives.ts'
import { type Aead, type HpkePrivateKey, type HpkePublicKey, type HpkeSuite, suiteLengths } from './suite.ts'

const { Nt } = suiteLengths

/** Of a PKCS #8 private key (RFC 8410, section 7), all that precedes its 32 bytes. */
const pkcs8Prefix = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
])

/** The same memory as a plain `Uint8Array`: a `Buffer` would have a `slice` that does not copy. */
const viewOf = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)

// Public keys, of which every request brings one, go in and out as JWK (RFC 8037): 4 µs, where DER takes 62.
function importPublicKey(bytes: Uint8Array): HpkePublicKey {
  const x = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
  const handle = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  return { bytes: bytes.slice(), handle }
}

/** The bytes of a public key that was exported as JWK (RFC 8037, section 2: `x`). */
function bytesOfJwk(jwk: unknown): Uint8Array {
  if (typeof jwk !== 'object' || jwk === null || !('x' in jwk) || typeof jwk.x !== 'string')
    throw new InvalidKeyError('has no public part')
  return new Uint8Array(Buffer.from(jwk.x, 'base64url'))
}

/**
 * A new key pair, its public part exported while it is made.
 *
 * Not afterwards: Node locks a key while it exports it, and locks it again when the garbage collector finds what
 * made it. An export that makes the collector run then waits for itself, for good (seen on Node 20, rarely, but
 * within a minute under `--max-semi-space-size=1`). The collector cannot find what is still at work.
 */
function generateKeyPair(): HpkePrivateKey {
  const { publicKey, privateKey } = generateKeyPairSync('x25519', { publicKeyEncoding: { format: 'jwk' } })
  return {
    publicKey: { bytes: bytesOfJwk(publicKey), handle: createPublicKey(privateKey) },
    handle: privateKey,
  }
}

function importPrivateKey(bytes: Uint8Array): HpkePrivateKey {
  // A JWK would need the public part too, which only this key can give; private keys are imported seldom.
  const der = Buffer.from(concatBytes(pkcs8Prefix, bytes))
  const handle = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  const publicKey = createPublicKey(handle)
  return { publicKey: { bytes: bytesOfJwk(publicKey.export({ format: 'jwk' })), handle: publicKey }, handle }
}

function keyObject({ handle }: HpkePublicKey | HpkePrivateKey): KeyObject {
  if (!(handle instanceof KeyObject)) throw new InvalidKeyError('was imported by another HPKE suite')
  return handle
}

function createAead(key: Uint8Array): Aead {
  return {
    seal(nonce, aad, plaintext, head = noBytes) {
      const cipher = createCipheriv('aes-128-gcm', key, nonce)
      if (aad.length > 0) cipher.setAAD(aad)
      const message = new Uint8Array(head.length + plaintext.length + Nt)
      message.set(head)
      message.set(cipher.update(plaintext), head.length)
      cipher.final()
      message.set(cipher.getAuthTag(), head.length + plaintext.length)
      return message
    },
    open(nonce, aad, ciphertext) {
      if (ciphertext.length < Nt) throw new DecryptionError()
      const end = ciphertext.length - Nt
      const decipher = createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: Nt })
      if (aad.length > 0) decipher.setAAD(aad)
      decipher.setAuthTag(ciphertext.subarray(end))
      const plaintext = decipher.update(ciphertext.subarray(0, end))
      try {
        decipher.final()
      } catch {
        throw new DecryptionError()
      }
      return viewOf(plaintext)
    },
  }
}

const primitives: HpkePrimitives = {
  randomBytes: (length) => randomFillSync(new Uint8Array(length)),
  generateKeyPair,
  importPrivateKey,
  importPublicKey,
  diffieHellman: (privateKey, publicKey) =>
    viewOf(diffieHellman({ privateKey: keyObject(privateKey), publicKey: keyObject(publicKey) })),
  hmac(key, parts) {
    const hmac = createHmac('sha256', key)
    for (const part of parts) hmac.update(part)
    return viewOf(hmac.digest())
  },
  aead: createAead,
}

/**
 * HPKE on `node:crypto`, for the roles: ten times as fast as WebCrypto, since nothing waits for a thread pool.
 *
 * @see HpkeSuite
 */
export const nodeHpke: HpkeSuite = createHpkeSuite(primitives)
