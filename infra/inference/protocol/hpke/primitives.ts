import type { Aead, HpkePrivateKey, HpkePublicKey } from './suite.ts'

type Awaitable<Value> = Value | Promise<Value>

/** What {@link createHpkeSuite} needs from a platform; see {@link HpkeSuite} for what each must do. */
export type HpkePrimitives = {
  randomBytes(length: number): Uint8Array
  generateKeyPair(): Awaitable<HpkePrivateKey>
  /** @param bytes 32 of them */
  importPrivateKey(bytes: Uint8Array): Awaitable<HpkePrivateKey>
  /** @param bytes 32 of them */
  importPublicKey(bytes: Uint8Array): Awaitable<HpkePublicKey>
  /** X25519 (RFC 7748). Throws anything for a point of low order, or returns zeros. */
  diffieHellman(privateKey: HpkePrivateKey, publicKey: HpkePublicKey): Awaitable<Uint8Array>
  /** HMAC-SHA-256 (RFC 2104) of the parts, one behind the other. The key may be empty. */
  hmac(key: Uint8Array, parts: readonly Uint8Array[]): Awaitable<Uint8Array>
  /** @param key 16 bytes */
  aead(key: Uint8Array): Awaitable<Aead>
}
