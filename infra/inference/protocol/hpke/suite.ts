/**
 * Hybrid Public Key Encryption in base mode (RFC 9180) with the one suite of this network.
 *
 * The numbers are those of RFC 9180, section 7: KEM 0x0020 is DHKEM(X25519, HKDF-SHA256), KDF 0x0001 is
 * HKDF-SHA256, AEAD 0x0001 is AES-128-GCM.
 */
export const suiteIds = { kem: 0x0020, kdf: 0x0001, aead: 0x0001 } as const

/**
 * Lengths in bytes (RFC 9180, sections 7.1 to 7.3): `Nenc` and `Npk` an encapsulated and a public key, `Nk` an
 * AEAD key, `Nn` a nonce, `Nt` a tag, `Nh` a hash.
 */
export const suiteLengths = { Nenc: 32, Npk: 32, Nsk: 32, Nk: 16, Nn: 12, Nt: 16, Nh: 32 } as const

/** A public key, as the platform holds it. Made by {@link HpkeSuite}. */
export type HpkePublicKey = {
  /** Its 32 bytes (RFC 7748). */
  readonly bytes: Uint8Array
  /** The platform's own key object. */
  readonly handle: unknown
}

/** A private key, as the platform holds it; its bytes stay there. Made by {@link HpkeSuite}. */
export type HpkePrivateKey = {
  readonly publicKey: HpkePublicKey
  /** The platform's own key object. */
  readonly handle: unknown
}

/** `info` as the key schedule takes it: hashed once, used for every request with one key configuration. */
export type PreparedInfo = {
  /** `key_schedule_context` of RFC 9180, section 5.1. */
  readonly keyScheduleContext: Uint8Array
}

/** AES-128-GCM under one key (RFC 5116). */
export type Aead = {
  /**
   * Returns the ciphertext with its tag of 16 bytes behind it.
   *
   * @param head what goes in front of it, as it is and not protected: a message comes out in one piece of memory,
   * and is not copied together afterwards
   */
  seal(
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
    head?: Uint8Array,
  ): Uint8Array | Promise<Uint8Array>
  /** @throws DecryptionError whatever is wrong */
  open(nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** What both ends of an encryption context can do. */
export type ExportingContext = {
  /** The encapsulated key, 32 bytes. */
  readonly enc: Uint8Array
  /**
   * `Context.Export(exporter_context, L)` (RFC 9180, section 5.3).
   *
   * @param length in bytes, at most 8160
   */
  export(exporterContext: Uint8Array, length: number): Promise<Uint8Array>
}

/** A sender's context (RFC 9180, section 5.2). Messages open in the order in which they were sealed. */
export type HpkeSender = ExportingContext & {
  /**
   * Seals the next message.
   *
   * @param head what goes in front of the ciphertext; see {@link Aead}
   * @throws MessageLimitError
   */
  seal(plaintext: Uint8Array, aad?: Uint8Array, head?: Uint8Array): Promise<Uint8Array>
}

/** A recipient's context (RFC 9180, section 5.2). Calls may overlap; they are answered in their order. */
export type HpkeRecipient = ExportingContext & {
  /**
   * Opens the next message. A message that does not open uses up no sequence number.
   *
   * @throws DecryptionError whatever is wrong
   * @throws MessageLimitError
   */
  open(ciphertext: Uint8Array, aad?: Uint8Array): Promise<Uint8Array>
}

/**
 * HPKE on one platform.
 *
 * Every implementation must
 * - give the bytes of RFC 9180 for the same keys, and open what every other one seals;
 * - refuse an all-zero shared secret (RFC 9180, section 7.1.4);
 * - throw {@link DecryptionError}, and nothing that tells more, for whatever a peer's message does to it;
 * - take randomness from the platform's cryptographic source only;
 * - keep private keys and derived secrets out of errors and of enumerable properties.
 */
export type HpkeSuite = {
  /** Cryptographically random bytes. */
  randomBytes(length: number): Uint8Array
  /** A new key pair. */
  generateKeyPair(): Promise<HpkePrivateKey>
  /**
   * `DeriveKeyPair(ikm)` (RFC 9180, section 7.1.3): the same key pair for the same bytes.
   *
   * @param ikm at least 32 bytes of secret entropy
   * @throws InvalidKeyError if there are fewer
   */
  deriveKeyPair(ikm: Uint8Array): Promise<HpkePrivateKey>
  /** @throws InvalidKeyError unless it is 32 bytes */
  importPrivateKey(bytes: Uint8Array): Promise<HpkePrivateKey>
  /** @throws InvalidKeyError unless it is 32 bytes */
  importPublicKey(bytes: Uint8Array): Promise<HpkePublicKey>
  /** Does the part of the key schedule that depends on `info` alone. */
  prepareInfo(info: Uint8Array): Promise<PreparedInfo>
  /**
   * `SetupBaseS(pkR, info)` (RFC 9180, section 5.1.1).
   *
   * @param ephemeral for published vectors only: a key that is used twice breaks the encryption
   * @throws InvalidKeyError if the recipient's key is a point of low order
   */
  setupSender(recipient: HpkePublicKey, info: PreparedInfo, ephemeral?: HpkePrivateKey): Promise<HpkeSender>
  /**
   * `SetupBaseR(enc, skR, info)` (RFC 9180, section 5.1.1).
   *
   * @throws DecryptionError if `enc` is no usable key
   */
  setupRecipient(enc: Uint8Array, recipient: HpkePrivateKey, info: PreparedInfo): Promise<HpkeRecipient>
  /** `HKDF-Extract` with SHA-256 (RFC 5869, section 2.2). */
  extract(salt: Uint8Array, ikm: Uint8Array): Promise<Uint8Array>
  /** `HKDF-Expand` with SHA-256 (RFC 5869, section 2.3), at most 8160 bytes. */
  expand(prk: Uint8Array, info: Uint8Array, length: number): Promise<Uint8Array>
  /** AES-128-GCM under a key of 16 bytes. */
  aead(key: Uint8Array): Promise<Aead>
}
