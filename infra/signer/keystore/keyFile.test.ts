import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import * as Keystore from 'ox/Keystore'
import { privateKeyToAddress } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import { sampleFile } from '../../../test/sampleData.ts'
import { decryptKey, encryptKey, foreignKeyFile, isOpenedBy, keyFile, SCRYPT_COST } from './keyFile.ts'

const KEY = `0x${'4c'.repeat(32)}` as const
const ADDRESS = privateKeyToAddress(KEY)
const keystoreError = (text: string) =>
  expect.objectContaining({ code: 'KEYSTORE', message: expect.stringContaining(text) })

/** Reads a file of another tool. */
function read(json: unknown, passphrase: string): string {
  const file = foreignKeyFile.parse(json)
  return decryptKey('the file', file, Buffer.from(passphrase), file.address).privateKey
}

// From the "Web3 Secret Storage Definition" of ethereum.org, "Test Vectors". Both hold the same key.
const VECTOR_KEY = '0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
const vectors = [
  {
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
      ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
      kdf: 'pbkdf2',
      kdfparams: {
        c: 262_144,
        dklen: 32,
        prf: 'hmac-sha256',
        salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
      },
      mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  },
  {
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: '83dbcc02d8ccb40e466191a123791e0e' },
      ciphertext: 'd172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c',
      kdf: 'scrypt',
      kdfparams: {
        dklen: 32,
        n: 262_144,
        r: 1,
        p: 8,
        salt: 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19',
      },
      mac: '2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097',
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  },
] as const

describe.each(vectors)('the published vector of $crypto.kdf', ({ crypto, id, version }) => {
  const with0x = {
    ...crypto,
    ciphertext: `0x${crypto.ciphertext}`,
    mac: `0x${crypto.mac.toUpperCase()}`,
    cipherparams: { iv: `0x${crypto.cipherparams.iv}` },
    kdfparams: { ...crypto.kdfparams, salt: `0x${crypto.kdfparams.salt}` },
  }
  const address = privateKeyToAddress(VECTOR_KEY)
  test.each<[string, object]>([
    ['as it was published', { crypto, id, version }],
    ['with 0x', { crypto: with0x, id, version }],
    ['with an address', { crypto, id, version, address: address.slice(2).toLowerCase() }],
    ['with a checksummed address and 0x', { crypto, id, version, address }],
    ['without an id, under its old name', { Crypto: crypto, version, address: null }],
  ])('is read %s', (_how, json) => {
    expect(read(json, 'testpassword')).toBe(VECTOR_KEY)
  })

  test('is not read with another passphrase, or as the key of another address', () => {
    expect(() => read({ crypto, version }, 'testpasswort')).toThrow(keystoreError('does not open the file'))
    expect(() => read({ crypto, version, address: '11'.repeat(20) }, 'testpassword')).toThrow(
      keystoreError(`The file holds the key of ${address}`),
    )
  })
})

describe('a key file that is none', () => {
  const [pbkdf2, scrypt] = vectors
  const asks = (kdfparams: object) => ({
    version: 3,
    crypto: { ...scrypt.crypto, kdfparams: { ...scrypt.crypto.kdfparams, ...kdfparams } },
  })
  test.each<[string, unknown]>([
    ['of version 1', { ...scrypt, version: 1 }],
    ['without its encrypted part', { version: 3 }],
    ['of another cipher', { version: 3, crypto: { ...scrypt.crypto, cipher: 'aes-256-gcm' } }],
    ['with odd hex', { version: 3, crypto: { ...scrypt.crypto, ciphertext: 'abc' } }],
    ['that would take all memory', asks({ n: 2 ** 30 })],
    ['that would take for ever', asks({ p: 2 ** 30 })],
    ['with an n that is no power of two', asks({ n: 262_143 })],
    [
      'that would take for ever with pbkdf2',
      { version: 3, crypto: { ...pbkdf2.crypto, kdfparams: { ...pbkdf2.crypto.kdfparams, c: 1e12 } } },
    ],
    ['that is text', 'key'],
    ['that is nothing', null],
  ])('%s is refused', (_what, json) => {
    expect(foreignKeyFile.safeParse(json).success).toBe(false)
  })
})

describe('encryptKey', () => {
  test('gives a file that another implementation opens', () => {
    const file = encryptKey(KEY, Buffer.from('pässword 🔑'), SCRYPT_COST.local)
    expect(Keystore.decrypt(file, Keystore.toKey(file, { password: 'pässword 🔑' }))).toBe(KEY)
  })

  test('gives back what went in, for any key and passphrase, and never twice the same file', () => {
    const key = fc
      .bigInt({ min: 1n, max: 2n ** 256n - 2n ** 129n })
      .map((value) => `0x${value.toString(16).padStart(64, '0')}` as const)
    fc.assert(
      fc.property(key, fc.uint8Array({ minLength: 1, maxLength: 64 }), (privateKey, passphrase) => {
        const file = encryptKey(privateKey, passphrase, 2)
        const parsed = keyFile.parse({ ...file, label: 'a', address: privateKeyToAddress(privateKey) })
        expect(decryptKey('it', parsed, passphrase, parsed.address).privateKey).toBe(privateKey)
        expect(isOpenedBy(parsed, passphrase)).toBe(true)
        expect(isOpenedBy(parsed, Uint8Array.of(...passphrase, 1))).toBe(false)
        expect(encryptKey(privateKey, passphrase, 2).crypto.ciphertext).not.toBe(file.crypto.ciphertext)
      }),
      { numRuns: 30 },
    )
  })

  test('any bit that is changed is noticed', () => {
    const file = encryptKey(KEY, Buffer.from('passphrase'), 2)
    fc.assert(
      fc.property(fc.nat(63), fc.constantFrom('ciphertext', 'mac'), (at, field) => {
        const text = file.crypto[field as 'ciphertext']
        const digit = (Number.parseInt(text.charAt(at), 16) ^ 1).toString(16)
        const crypto = { ...file.crypto, [field]: text.slice(0, at) + digit + text.slice(at + 1) }
        expect(() => read({ version: 3, crypto }, 'passphrase')).toThrow(keystoreError('does not open'))
      }),
    )
    // The counter is no part of the checksum in this format: the address is what tells.
    const crypto = { ...file.crypto, cipherparams: { iv: '00'.repeat(16) } }
    expect(() => read({ version: 3, crypto, address: ADDRESS }, 'passphrase')).toThrow(keystoreError('holds'))
  })

  test('what is no private key is refused without being shown', () => {
    const order = `0x${'f'.repeat(64)}` as const
    const { crypto } = encryptKey(order, Buffer.from('passphrase'), 2)
    const failing = () => read({ version: 3, crypto }, 'passphrase')
    expect(failing).toThrow(keystoreError('no private key'))
    expect(failing).not.toThrow(/ffff/)
  })
})

const more = sampleFile('conformance/KeyStoreTests_basic_tests.json')
describe.runIf(more.exists)(`more vectors (${more.title})`, () => {
  type Vector = { json: object; password: string; priv: string }
  const published: [string, Vector][] = more.exists
    ? Object.entries(JSON.parse(readFileSync(more.path, 'utf8')) as Record<string, Vector>)
    : []
  test.each(published)('%s', (_name, { json, password, priv }) => {
    expect(read(json, password)).toBe(`0x${priv.padStart(64, '0')}`)
  })
})
