import { byteStringToBytes, concatBytes, isZero, noBytes } from '../binary/bytes.ts'
import { DecryptionError, InvalidKeyError, UnencodableMessageError } from '../errors.ts'
import type { HpkePrimitives } from './primitives.ts'
import { NonceSequence } from './sequence.ts'
import {
  type Aead,
  type HpkePrivateKey,
  type HpkePublicKey,
  type HpkeRecipient,
  type HpkeSender,
  type HpkeSuite,
  type PreparedInfo,
  suiteIds,
  suiteLengths,
} from './suite.ts'

const { Nenc, Npk, Nsk, Nk, Nn, Nh } = suiteLengths

const i2osp2 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff)

/** `mode_base = 0x00` (RFC 9180, section 5). */
const modeBase = Uint8Array.of(0)
const version = byteStringToBytes('HPKE-v1')
/** `suite_id = concat("KEM", I2OSP(kem_id, 2))` (RFC 9180, section 4.1). */
const kemSuiteId = concatBytes(byteStringToBytes('KEM'), i2osp2(suiteIds.kem))
/** `suite_id = concat("HPKE", I2OSP(kem_id, 2), I2OSP(kdf_id, 2), I2OSP(aead_id, 2))` (RFC 9180, section 5.1). */
const hpkeSuiteId = concatBytes(
  byteStringToBytes('HPKE'),
  i2osp2(suiteIds.kem),
  i2osp2(suiteIds.kdf),
  i2osp2(suiteIds.aead),
)

/** `concat("HPKE-v1", suite_id, label)`: what precedes the key material that LabeledExtract takes. */
const extractLabel = (suiteId: Uint8Array, label: string): Uint8Array =>
  concatBytes(version, suiteId, byteStringToBytes(label))

/** `concat(I2OSP(L, 2), "HPKE-v1", suite_id, label)`: what precedes the info that LabeledExpand takes. */
const expandLabel = (suiteId: Uint8Array, label: string, length: number): ExpandLabel => ({
  prefix: concatBytes(i2osp2(length), version, suiteId, byteStringToBytes(label)),
  length,
})

type ExpandLabel = { readonly prefix: Uint8Array; readonly length: number }

/** The labels of RFC 9180 with what always surrounds them, put together once. */
const labels = {
  dkpPrk: extractLabel(kemSuiteId, 'dkp_prk'),
  sk: expandLabel(kemSuiteId, 'sk', Nsk),
  eaePrk: extractLabel(kemSuiteId, 'eae_prk'),
  sharedSecret: expandLabel(kemSuiteId, 'shared_secret', Nh),
  pskIdHash: extractLabel(hpkeSuiteId, 'psk_id_hash'),
  infoHash: extractLabel(hpkeSuiteId, 'info_hash'),
  secret: extractLabel(hpkeSuiteId, 'secret'),
  key: expandLabel(hpkeSuiteId, 'key', Nk),
  baseNonce: expandLabel(hpkeSuiteId, 'base_nonce', Nn),
  exp: expandLabel(hpkeSuiteId, 'exp', Nh),
}

/** The counters of HKDF-Expand's blocks begin with one. */
const firstBlock = Uint8Array.of(1)

/**
 * HPKE in base mode on a platform's primitives: what RFC 9180 adds to them, once for all platforms.
 *
 * @example
 * const suite = createHpkeSuite(primitives)
 * const info = await suite.prepareInfo(utf8('an application'))
 * const sender = await suite.setupSender(recipient.publicKey, info)
 * const ciphertext = await sender.seal(utf8('hello'))
 * const receiver = await suite.setupRecipient(sender.enc, recipient, info)
 * await receiver.open(ciphertext) // 'hello'
 */
export function createHpkeSuite(primitives: HpkePrimitives): HpkeSuite {
  /**
   *     def LabeledExtract(salt, label, ikm):
   *       labeled_ikm = concat("HPKE-v1", suite_id, label, ikm)
   *       return Extract(salt, labeled_ikm)
   *
   * (RFC 9180, section 4)
   */
  const labeledExtract = (salt: Uint8Array, label: Uint8Array, ikm: Uint8Array) =>
    primitives.hmac(salt, [label, ikm])

  /**
   *     def LabeledExpand(prk, label, info, L):
   *       labeled_info = concat(I2OSP(L, 2), "HPKE-v1", suite_id, label, info)
   *       return Expand(prk, labeled_info, L)
   *
   * (RFC 9180, section 4)
   */
  const labeledExpand = (prk: Uint8Array, { prefix, length }: ExpandLabel, ...info: readonly Uint8Array[]) =>
    expand(prk, [prefix, ...info], length)

  /** `T(n) = HMAC-Hash(PRK, T(n-1) | info | n)`, concatenated and cut to length (RFC 5869, section 2.3). */
  async function expand(prk: Uint8Array, info: readonly Uint8Array[], length: number): Promise<Uint8Array> {
    if (length > 255 * Nh) throw new UnencodableMessageError('asks for more key material than HKDF gives')
    let block = await primitives.hmac(prk, [...info, firstBlock])
    // All that HPKE asks for itself fits in one block.
    if (length <= Nh) return block.subarray(0, length)
    const blocks = [block]
    for (let index = 2; (index - 1) * Nh < length; index++) {
      block = await primitives.hmac(prk, [block, ...info, Uint8Array.of(index)])
      blocks.push(block)
    }
    return concatBytes(...blocks).subarray(0, length)
  }

  /**
   *     def ExtractAndExpand(dh, kem_context):
   *       eae_prk = LabeledExtract("", "eae_prk", dh)
   *       shared_secret = LabeledExpand(eae_prk, "shared_secret", kem_context, Nsecret)
   *       return shared_secret
   *
   * with `kem_context = concat(enc, pkRm)` (RFC 9180, section 4.1).
   */
  async function extractAndExpand(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array) {
    const eaePrk = await labeledExtract(noBytes, labels.eaePrk, dh)
    return labeledExpand(eaePrk, labels.sharedSecret, enc, recipient)
  }

  /**
   * "For X25519 and X448, [...] senders and recipients MUST check whether the shared secret is the all-zero
   * value and abort if so" (RFC 9180, section 7.1.4).
   */
  async function sharedPoint(privateKey: HpkePrivateKey, publicKey: HpkePublicKey): Promise<Uint8Array> {
    const dh = await primitives.diffieHellman(privateKey, publicKey)
    if (isZero(dh)) throw new InvalidKeyError('is a point of low order')
    return dh
  }

  /**
   *     def KeySchedule<ROLE>(mode, shared_secret, info, psk, psk_id):
   *       psk_id_hash = LabeledExtract("", "psk_id_hash", psk_id)
   *       info_hash = LabeledExtract("", "info_hash", info)
   *       key_schedule_context = concat(mode, psk_id_hash, info_hash)
   *
   *       secret = LabeledExtract(shared_secret, "secret", psk)
   *
   *       key = LabeledExpand(secret, "key", key_schedule_context, Nk)
   *       base_nonce = LabeledExpand(secret, "base_nonce", key_schedule_context, Nn)
   *       exporter_secret = LabeledExpand(secret, "exp", key_schedule_context, Nh)
   *
   * (RFC 9180, section 5.1; in base mode `psk` and `psk_id` are empty)
   */
  async function keySchedule(sharedSecret: Uint8Array, { keyScheduleContext }: PreparedInfo) {
    const secret = await labeledExtract(sharedSecret, labels.secret, noBytes)
    const key = await labeledExpand(secret, labels.key, keyScheduleContext)
    const baseNonce = await labeledExpand(secret, labels.baseNonce, keyScheduleContext)
    const exporterSecret = await labeledExpand(secret, labels.exp, keyScheduleContext)
    return {
      aead: await primitives.aead(key),
      nonces: new NonceSequence(baseNonce),
      /** `LabeledExpand(self.exporter_secret, "sec", exporter_context, L)` (RFC 9180, section 5.3). */
      export: (exporterContext: Uint8Array, length: number) =>
        labeledExpand(exporterSecret, expandLabel(hpkeSuiteId, 'sec', length), exporterContext),
    }
  }

  const importPrivateKey = async (bytes: Uint8Array): Promise<HpkePrivateKey> => {
    if (bytes.length !== Nsk) throw new InvalidKeyError(`is not ${Nsk} bytes long`)
    return primitives.importPrivateKey(bytes)
  }

  return {
    randomBytes: primitives.randomBytes,
    async generateKeyPair() {
      return primitives.generateKeyPair()
    },

    /**
     *     def DeriveKeyPair(ikm):
     *       dkp_prk = LabeledExtract("", "dkp_prk", ikm)
     *       sk = LabeledExpand(dkp_prk, "sk", "", Nsk)
     *       return (sk, pk(sk))
     */
    async deriveKeyPair(ikm) {
      if (ikm.length < Nsk) throw new InvalidKeyError(`is derived from fewer than ${Nsk} bytes`)
      const prk = await labeledExtract(noBytes, labels.dkpPrk, ikm)
      return importPrivateKey(await labeledExpand(prk, labels.sk))
    },

    importPrivateKey,

    async importPublicKey(bytes) {
      if (bytes.length !== Npk) throw new InvalidKeyError(`is not ${Npk} bytes long`)
      return primitives.importPublicKey(bytes)
    },

    async prepareInfo(info) {
      const pskIdHash = await labeledExtract(noBytes, labels.pskIdHash, noBytes)
      const infoHash = await labeledExtract(noBytes, labels.infoHash, info)
      return { keyScheduleContext: concatBytes(modeBase, pskIdHash, infoHash) }
    },

    /**
     *     def Encap(pkR):
     *       skE, pkE = GenerateKeyPair()
     *       dh = DH(skE, pkR)
     *       enc = SerializePublicKey(pkE)
     *
     *       pkRm = SerializePublicKey(pkR)
     *       kem_context = concat(enc, pkRm)
     *
     *       shared_secret = ExtractAndExpand(dh, kem_context)
     *       return shared_secret, enc
     */
    async setupSender(recipient, info, ephemeral) {
      const pair = ephemeral ?? (await primitives.generateKeyPair())
      const enc = pair.publicKey.bytes
      const dh = await sharedPoint(pair, recipient).catch(() => {
        throw new InvalidKeyError('is a point of low order')
      })
      const schedule = await keySchedule(await extractAndExpand(dh, enc, recipient.bytes), info)
      return createSender(enc, schedule)
    },

    /**
     *     def Decap(enc, skR):
     *       pkE = DeserializePublicKey(enc)
     *       dh = DH(skR, pkE)
     *
     *       pkRm = SerializePublicKey(pk(skR))
     *       kem_context = concat(enc, pkRm)
     *
     *       shared_secret = ExtractAndExpand(dh, kem_context)
     *       return shared_secret
     */
    async setupRecipient(enc, recipient, info) {
      if (enc.length !== Nenc) throw new DecryptionError()
      let dh: Uint8Array
      try {
        dh = await sharedPoint(recipient, await primitives.importPublicKey(enc))
      } catch {
        throw new DecryptionError()
      }
      const schedule = await keySchedule(await extractAndExpand(dh, enc, recipient.publicKey.bytes), info)
      return createRecipient(enc.slice(), schedule)
    },

    async extract(salt, ikm) {
      return primitives.hmac(salt, [ikm])
    },
    expand: (prk, info, length) => expand(prk, [info], length),
    async aead(key) {
      return primitives.aead(key)
    },
  }
}

type Schedule = {
  readonly aead: Aead
  readonly nonces: NonceSequence
  readonly export: (exporterContext: Uint8Array, length: number) => Promise<Uint8Array>
}

/**
 *     def ContextS.Seal(aad, pt):
 *       ct = Seal(self.key, self.ComputeNonce(self.seq), aad, pt)
 *       self.IncrementSeq()
 *       return ct
 */
function createSender(enc: Uint8Array, { aead, nonces, export: exportSecret }: Schedule): HpkeSender {
  return {
    enc,
    // The nonce is taken before anything is awaited, so that overlapping calls never share one.
    seal: async (plaintext, aad = noBytes, head = noBytes) => aead.seal(nonces.take(), aad, plaintext, head),
    export: exportSecret,
  }
}

/**
 *     def ContextR.Open(aad, ct):
 *       pt = Open(self.key, self.ComputeNonce(self.seq), aad, ct)
 *       if pt == OpenError:
 *         raise OpenError
 *       self.IncrementSeq()
 *       return pt
 */
function createRecipient(enc: Uint8Array, { aead, nonces, export: exportSecret }: Schedule): HpkeRecipient {
  let last: Promise<unknown> = Promise.resolve()
  const openNext = async (ciphertext: Uint8Array, aad: Uint8Array): Promise<Uint8Array> => {
    nonces.check()
    const plaintext = await aead.open(nonces.at(nonces.position), aad, ciphertext)
    nonces.advance()
    return plaintext
  }
  return {
    enc,
    open(ciphertext, aad = noBytes) {
      const opened = last.then(() => openNext(ciphertext, aad))
      // Whoever asked is told of a failure; the next in line only waits for it.
      last = opened.catch(() => undefined)
      return opened
    },
    export: exportSecret,
  }
}
