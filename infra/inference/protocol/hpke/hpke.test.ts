import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sampleFile } from '../../../../test/sampleData.ts'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import { DecryptionError, InvalidKeyError, MessageLimitError } from '../errors.ts'
import { flipBit, fromHex, toHex, utf8 } from '../hex.fixture.ts'
import { nodeHpke } from './nodeHpke.ts'
import { NonceSequence } from './sequence.ts'
import type { HpkeSuite } from './suite.ts'
import { isWebHpkeAvailable, webHpke } from './webHpke.ts'

const suites: readonly (readonly [string, HpkeSuite])[] = [
  ['node', nodeHpke],
  ['web', webHpke],
]

/** RFC 9180, appendix A.1.1: base mode of DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. */
const rfc9180 = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  ikmR: '6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037',
  ikmE: '7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234',
  pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
  skRm: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
  skEm: '52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736',
  enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  keyScheduleContext:
    '00725611c9d98c07c03f60095cd32d400d8347d45ed67097bbad50fc56da742d07cb6cffde367bb0565ba28bb02c90744a20f5ef' +
    '37f30523526106f637abb05449',
  pt: '4265617574792069732074727574682c20747275746820626561757479',
  encryptions: {
    0: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
    1: 'af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84',
    2: '498dfcabd92e8acedc281e85af1cb4e3e31c7dc394a1ca20e173cb72516491588d96a19ad4a683518973dcc180',
    4: '583bd32bc67a5994bb8ceaca813d369bca7b2a42408cddef5e22f880b631215a09fc0012bc69fccaa251c0246d',
    255: '7175db9717964058640a3a11fb9007941a5d1757fda1a6935c805c21af32505bf106deefec4a49ac38d71c9e0a',
    256: '957f9800542b0b8891badb026d79cc54597cb2d225b54c00c5238c25d05c30e3fbeda97d2e0e1aba483a2df9f2',
  } as Readonly<Record<number, string>>,
  exports: [
    ['', '3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee'],
    ['00', '2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5'],
    ['54657374436f6e74657874', 'e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931'],
  ],
} as const

/** X25519 points of low order: what they give is zero (RFC 7748, section 6.1). */
const lowOrderPoints = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
]

describe.each(suites)('HPKE on %s', (_, suite) => {
  const setup = async (info = 'a test') => {
    const recipient = await suite.generateKeyPair()
    const prepared = await suite.prepareInfo(utf8(info))
    const sender = await suite.setupSender(recipient.publicKey, prepared)
    return {
      recipient,
      prepared,
      sender,
      receiver: await suite.setupRecipient(sender.enc, recipient, prepared),
    }
  }

  it('passes RFC 9180, appendix A.1.1', async () => {
    const recipient = await suite.importPrivateKey(fromHex(rfc9180.skRm))
    const ephemeral = await suite.importPrivateKey(fromHex(rfc9180.skEm))
    expect(toHex(recipient.publicKey.bytes)).toBe(rfc9180.pkRm)
    expect((await suite.deriveKeyPair(fromHex(rfc9180.ikmR))).publicKey.bytes).toEqual(
      recipient.publicKey.bytes,
    )
    expect((await suite.deriveKeyPair(fromHex(rfc9180.ikmE))).publicKey.bytes).toEqual(
      ephemeral.publicKey.bytes,
    )

    const info = await suite.prepareInfo(fromHex(rfc9180.info))
    expect(toHex(info.keyScheduleContext)).toBe(rfc9180.keyScheduleContext)
    const publicKey = await suite.importPublicKey(fromHex(rfc9180.pkRm))
    const sender = await suite.setupSender(publicKey, info, ephemeral)
    const receiver = await suite.setupRecipient(sender.enc, recipient, info)
    expect(toHex(sender.enc)).toBe(rfc9180.enc)
    for (let sequence = 0; sequence <= 256; sequence++) {
      const aad = utf8(`Count-${sequence}`)
      const sealed = await sender.seal(fromHex(rfc9180.pt), aad)
      const published = rfc9180.encryptions[sequence]
      if (published !== undefined) expect(toHex(sealed)).toBe(published)
      expect(toHex(await receiver.open(sealed, aad))).toBe(rfc9180.pt)
    }
    for (const [context, value] of rfc9180.exports) {
      expect(toHex(await sender.export(fromHex(context), 32))).toBe(value)
      expect(toHex(await receiver.export(fromHex(context), 32))).toBe(value)
    }
  })

  it('exports more than a block, and no more than HKDF gives', async () => {
    const { sender, receiver } = await setup()
    for (const length of [0, 1, 31, 33, 8160]) {
      const value = await sender.export(utf8('x'), length)
      expect(value.length).toBe(length)
      expect(await receiver.export(utf8('x'), length)).toEqual(value)
    }
    await expect(sender.export(utf8('x'), 8161)).rejects.toMatchObject({ code: 'WIRE_UNENCODABLE' })
  })

  it('opens overlapping messages in their order, and only in it', async () => {
    const { sender, receiver } = await setup()
    const plaintexts = Array.from({ length: 20 }, (_, index) => utf8(`message ${index}`))
    const sealed = await Promise.all(plaintexts.map((plaintext) => sender.seal(plaintext)))
    expect(await Promise.all(sealed.map((message) => receiver.open(message)))).toEqual(plaintexts)
    await expect(receiver.open(sealed[0] ?? noBytes)).rejects.toThrow(DecryptionError)
    const next = await sender.seal(utf8('goes on'))
    expect(await receiver.open(next)).toEqual(utf8('goes on'))
  })

  it('has one error for every message that does not open', async () => {
    const { recipient, prepared, sender, receiver } = await setup()
    const sealed = await sender.seal(utf8('secret'), utf8('aad'))
    const stranger = await suite.generateKeyPair()
    const attempts = [
      receiver.open(sealed),
      receiver.open(sealed.subarray(0, -1), utf8('aad')),
      receiver.open(noBytes, utf8('aad')),
      receiver.open(flipBit(sealed, 3), utf8('aad')),
      receiver.open(flipBit(sealed, sealed.length * 8 - 1), utf8('aad')),
      suite.setupRecipient(sender.enc, stranger, prepared).then((other) => other.open(sealed, utf8('aad'))),
      suite
        .setupRecipient(flipBit(sender.enc, 255), recipient, prepared)
        .then((other) => other.open(sealed, utf8('aad'))),
      suite.setupRecipient(sender.enc.subarray(1), recipient, prepared),
      ...lowOrderPoints.map((point) => suite.setupRecipient(fromHex(point), recipient, prepared)),
    ]
    const errors = await Promise.all(attempts.map((attempt) => attempt.catch((error: unknown) => error)))
    for (const error of errors) {
      expect(error).toBeInstanceOf(DecryptionError)
      expect(error).toMatchObject({ message: 'The message could not be decrypted.', details: {} })
      expect(error).not.toHaveProperty('cause')
    }
    expect(await receiver.open(sealed, utf8('aad'))).toEqual(utf8('secret'))
  })

  it('refuses keys that are none', async () => {
    const info = await suite.prepareInfo(noBytes)
    await expect(suite.importPublicKey(new Uint8Array(31))).rejects.toThrow(InvalidKeyError)
    await expect(suite.importPrivateKey(new Uint8Array(33))).rejects.toThrow(InvalidKeyError)
    await expect(suite.deriveKeyPair(new Uint8Array(31))).rejects.toThrow(InvalidKeyError)
    for (const point of lowOrderPoints) {
      const key = await suite.importPublicKey(fromHex(point))
      await expect(suite.setupSender(key, info)).rejects.toThrow(InvalidKeyError)
    }
  })

  it('hides its secrets from whoever prints it', async () => {
    const { recipient, sender } = await setup()
    const imported = await suite.importPrivateKey(fromHex(rfc9180.skRm))
    const shown = JSON.stringify([recipient, sender, imported])
    for (const secret of [rfc9180.skRm, Buffer.from(rfc9180.skRm, 'hex').toString('base64url')])
      expect(shown).not.toContain(secret)
  })

  it('agrees with @hpke/core, in both directions', async () => {
    const oracle = new CipherSuite({
      kem: new DhkemX25519HkdfSha256(),
      kdf: new HkdfSha256(),
      aead: new Aes128Gcm(),
    })
    const buffer = (bytes: Uint8Array) => new Uint8Array(bytes).buffer
    const message = fc.record({
      plaintext: fc.uint8Array({ maxLength: 400 }),
      aad: fc.uint8Array({ maxLength: 40 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array(),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(message),
        async (info, seed, messages) => {
          const recipient = await suite.importPrivateKey(seed)
          const prepared = await suite.prepareInfo(info)
          const oracleKey = await oracle.kem.importKey('raw', buffer(seed), false)
          const oraclePublic = await oracle.kem.importKey('raw', buffer(recipient.publicKey.bytes), true)

          const sender = await suite.setupSender(recipient.publicKey, prepared)
          const theirs = await oracle.createRecipientContext({
            recipientKey: oracleKey,
            enc: buffer(sender.enc),
            info: buffer(info),
          })
          const theirSender = await oracle.createSenderContext({
            recipientPublicKey: oraclePublic,
            info: buffer(info),
          })
          const ours = await suite.setupRecipient(new Uint8Array(theirSender.enc), recipient, prepared)
          for (const { plaintext, aad } of messages) {
            const sealed = await sender.seal(plaintext, aad)
            expect(new Uint8Array(await theirs.open(buffer(sealed), buffer(aad)))).toEqual(plaintext)
            const theirSealed = await theirSender.seal(buffer(plaintext), buffer(aad))
            expect(await ours.open(new Uint8Array(theirSealed), aad)).toEqual(plaintext)
          }
          expect(await sender.export(info, 40)).toEqual(new Uint8Array(await theirs.export(buffer(info), 40)))
        },
      ),
      { numRuns: 20 },
    )
  })
})

describe('between platforms', () => {
  it('each opens what the other seals', async () => {
    expect(await isWebHpkeAvailable()).toBe(true)
    for (const [from, to] of [
      [nodeHpke, webHpke],
      [webHpke, nodeHpke],
    ] as const) {
      const recipient = await to.generateKeyPair()
      const key = await from.importPublicKey(recipient.publicKey.bytes)
      const sender = await from.setupSender(key, await from.prepareInfo(utf8('i')))
      const receiver = await to.setupRecipient(sender.enc, recipient, await to.prepareInfo(utf8('i')))
      expect(await receiver.open(await sender.seal(utf8('hello'), utf8('a')), utf8('a'))).toEqual(
        utf8('hello'),
      )
      expect(await receiver.export(utf8('e'), 16)).toEqual(await sender.export(utf8('e'), 16))
      await expect(from.setupSender(recipient.publicKey, await from.prepareInfo(noBytes))).rejects.toThrow(
        InvalidKeyError,
      )
    }
  })

  it('agree on HKDF (RFC 5869, appendix A.1 and A.3) and on random bytes being none of the same', async () => {
    for (const [, suite] of suites) {
      const ikm = fromHex('0b'.repeat(22))
      const prk = await suite.extract(fromHex('000102030405060708090a0b0c'), ikm)
      expect(toHex(prk)).toBe('077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5')
      expect(toHex(await suite.expand(prk, fromHex('f0f1f2f3f4f5f6f7f8f9'), 42))).toBe(
        '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
      )
      expect(toHex(await suite.expand(await suite.extract(noBytes, ikm), noBytes, 42))).toBe(
        '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
      )
      expect(suite.randomBytes(32)).not.toEqual(suite.randomBytes(32))
    }
  })
})

describe('sequence numbers', () => {
  const base = fromHex('56d890e5accaaf011cff4b7d')

  it('are XORed into the end of the nonce', () => {
    const nonces = new NonceSequence(base)
    expect(toHex(nonces.take())).toBe('56d890e5accaaf011cff4b7d')
    expect(toHex(nonces.take())).toBe('56d890e5accaaf011cff4b7c')
    expect(toHex(nonces.at(256))).toBe('56d890e5accaaf011cff4a7d')
    expect(toHex(nonces.at(2 ** 53 - 1))).toBe(
      toHex(
        concatBytes(
          base.subarray(0, 5),
          base.subarray(5).map((byte, i) => byte ^ (i === 0 ? 0x1f : 0xff)),
        ),
      ),
    )
  })

  it('end, rather than begin again', () => {
    const nonces = new NonceSequence(base, Number.MAX_SAFE_INTEGER - 1)
    nonces.take()
    expect(() => nonces.take()).toThrow(MessageLimitError)
    expect(() => nonces.advance()).toThrow(MessageLimitError)
    expect(nonces.position).toBe(Number.MAX_SAFE_INTEGER)
  })
})

type PublishedSuite = {
  mode: number
  kem_id: number
  kdf_id: number
  aead_id: number
  info: string
  skRm: string
  enc: string
  encryptions: { aad: string; ct: string; pt: string }[]
  exports: { exporter_context: string; L: number; exported_value: string }[]
}
const published = sampleFile('conformance/vectors_rfc9180_5f503c5.json.gz')
describe.runIf(published.exists)(`all published messages (${published.title})`, () => {
  it.each(suites)('open on %s', async (_, suite) => {
    const all: PublishedSuite[] = JSON.parse(gunzipSync(readFileSync(published.path)).toString('utf8'))
    const ours = all.filter((v) => v.mode === 0 && v.kem_id === 0x20 && v.kdf_id === 1 && v.aead_id === 1)
    expect(ours.length).toBeGreaterThan(0)
    for (const vector of ours) {
      const recipient = await suite.importPrivateKey(fromHex(vector.skRm))
      const info = await suite.prepareInfo(fromHex(vector.info))
      const receiver = await suite.setupRecipient(fromHex(vector.enc), recipient, info)
      for (const { aad, ct, pt } of vector.encryptions)
        expect(toHex(await receiver.open(fromHex(ct), fromHex(aad)))).toBe(pt)
      for (const { exporter_context, L, exported_value } of vector.exports)
        expect(toHex(await receiver.export(fromHex(exporter_context), L))).toBe(exported_value)
    }
  })
})
