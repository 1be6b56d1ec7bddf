import { concatBytes, noBytes } from '../binary/bytes.ts'
import { DecryptionError, InvalidKeyError } from '../errors.ts'
import { createHpkeSuite } from './createHpkeSuite.ts'
import type { HpkePrimitives } from './primitives.ts'
import { type Aead, type HpkePrivateKey, type HpkePublicKey, type HpkeSuite, suiteLengths } from './suite.ts'

const { Nh, Nt } = suiteLengths
const x25519 = { name: 'X25519' }

/** Of a PKCS #8 private key (RFC 8410, section 7), all that precedes its 32 bytes. */
const pkcs8Prefix = Uint8Array.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
])

async function importPublicKey(bytes: Uint8Array): Promise<HpkePublicKey> {
  const handle = await crypto.subtle.importKey('raw', owned(bytes), x25519, true, [])
  return { bytes: bytes.slice(), handle }
}

async function importPrivateKey(bytes: Uint8Array): Promise<HpkePrivateKey> {
  const der = owned(concatBytes(pkcs8Prefix, bytes))
  // Extractable for a moment: exporting it is WebCrypto's only way from a private key to its public part.
  const extractable = await crypto.subtle.importKey('pkcs8', der, x25519, true, ['deriveBits'])
  const { x } = await crypto.subtle.exportKey('jwk', extractable)
  if (x === undefined) throw new InvalidKeyError('has no public part')
  const handle = await crypto.subtle.importKey('pkcs8', der, x25519, false, ['deriveBits'])
  der.fill(0)
  return { publicKey: await importPublicKey(fromBase64Url(x)), handle }
}

async function generateKeyPair(): Promise<HpkePrivateKey> {
  const pair = await crypto.subtle.generateKey(x25519, false, ['deriveBits'])
  if (!('publicKey' in pair)) throw new InvalidKeyError('has no public part')
  const bytes = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  return { publicKey: { bytes, handle: pair.publicKey }, handle: pair.privateKey }
}

type WebKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>

function isWebKey(handle: unknown): handle is WebKey {
  return Object.prototype.toString.call(handle) === '[object CryptoKey]'
}

function webKey({ handle }: HpkePublicKey | HpkePrivateKey): WebKey {
  if (!isWebKey(handle)) throw new InvalidKeyError('was imported by another HPKE suite')
  return handle
}

async function createAead(key: Uint8Array): Promise<Aead> {
  const handle = await crypto.subtle.importKey('raw', owned(key), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const parameters = (nonce: Uint8Array, aad: Uint8Array) => ({
    name: 'AES-GCM',
    iv: owned(nonce),
    additionalData: owned(aad),
    tagLength: Nt * 8,
  })
  return {
    async seal(nonce, aad, plaintext, head = noBytes) {
      const sealed = await crypto.subtle.encrypt(parameters(nonce, aad), handle, owned(plaintext))
      return head.length === 0 ? new Uint8Array(sealed) : concatBytes(head, new Uint8Array(sealed))
    },
    async open(nonce, aad, ciphertext) {
      try {
        return new Uint8Array(await crypto.subtle.decrypt(parameters(nonce, aad), handle, owned(ciphertext)))
      } catch {
        throw new DecryptionError()
      }
    },
  }
}

/**
 * The same bytes in an `ArrayBuffer` of their own. WebCrypto takes no view of shared memory, and reads a view
 * only after the call returned, when its owner may have reused it.
 */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}

function fromBase64Url(text: string): Uint8Array {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

const primitives: HpkePrimitives = {
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  generateKeyPair,
  importPrivateKey,
  importPublicKey,
  async diffieHellman(privateKey, publicKey) {
    const algorithm = { name: 'X25519', public: webKey(publicKey) }
    return new Uint8Array(await crypto.subtle.deriveBits(algorithm, webKey(privateKey), 256))
  },
  async hmac(key, parts) {
    // Not every WebCrypto takes an empty key; HMAC pads keys with zeros, so zeros are the same key.
    const bytes = key.length === 0 ? new Uint8Array(Nh) : owned(key)
    const algorithm = { name: 'HMAC', hash: 'SHA-256' }
    const handle = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign'])
    return new Uint8Array(await crypto.subtle.sign('HMAC', handle, owned(concatBytes(...parts))))
  },
  aead: createAead,
}

/**
 * HPKE on WebCrypto, for browsers and every other runtime that has X25519 there (Chromium 133, Firefox 130,
 * Safari 17, Node 20, Deno, Bun). Ask {@link isWebHpkeAvailable} first.
 *
 * @see HpkeSuite
 */
export const webHpke: HpkeSuite = createHpkeSuite(primitives)

/** Whether this runtime's WebCrypto has X25519. In a browser, only secure contexts have WebCrypto at all. */
export async function isWebHpkeAvailable(): Promise<boolean> {
  if (globalThis.crypto?.subtle === undefined) return false
  return generateKeyPair().then(
    () => true,
    () => false,
  )
}
