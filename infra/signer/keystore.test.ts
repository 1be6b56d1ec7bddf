import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sampleFile } from '../../test/sampleData.ts'
import { openKeystore, SCRYPT_COST } from './keystore.ts'

const KEY = `0x${'4c'.repeat(32)}` as const

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-keystore-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const modeOf = (name: string) => statSync(join(folder, name)).mode & 0o777
const keystoreError = (text: string) =>
  expect.objectContaining({ code: 'KEYSTORE', message: expect.stringContaining(text) })

/** Puts a published vector where a key of ours would be. */
function place(json: object, password: string, privateKey: string): void {
  const { address } = privateKeyToAccount(`0x${privateKey}`)
  const file = { ...json, address: address.slice(2).toLowerCase(), label: 'vector' }
  writeFileSync(join(folder, 'vector.json'), JSON.stringify(file), { mode: 0o600 })
  writeFileSync(join(folder, 'passphrase'), `${password}\n`, { mode: 0o600 })
}

describe('openKeystore', () => {
  test('makes a passphrase and keys that only their owner may read', () => {
    const keystore = openKeystore(folder)
    const account = keystore.store('guarded', KEY, SCRYPT_COST.local)
    expect(account.address).toBe(privateKeyToAccount(KEY).address)
    expect(readdirSync(folder).sort()).toEqual([`${account.address.toLowerCase()}.json`, 'passphrase'])
    for (const name of readdirSync(folder)) expect(modeOf(name)).toBe(0o600)
    expect(modeOf('.')).toBe(0o700)
  })

  test('gives a key back after a restart, and none for another label', () => {
    openKeystore(folder).store('guarded', KEY, SCRYPT_COST.local)
    const keystore = openKeystore(folder)
    expect(keystore.load('guarded')?.address).toBe(privateKeyToAccount(KEY).address)
    expect(keystore.load('other')).toBeNull()
  })

  test('makes random keys at the full cost', () => {
    const { address } = openKeystore(folder).create('real')
    const file = JSON.parse(readFileSync(join(folder, `${address.toLowerCase()}.json`), 'utf8'))
    expect(file.crypto.kdfparams).toMatchObject({ n: 131_072, r: 8, p: 1 })
    expect(openKeystore(folder).load('real')?.address).toBe(address)
  })

  test('holds no key in the clear', () => {
    openKeystore(folder).store('guarded', KEY, SCRYPT_COST.local)
    const all = readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join()
    expect(all).not.toContain(KEY.slice(2))
  })

  test('refuses a passphrase that is wrong, missing or empty, and says which', () => {
    openKeystore(folder).store('guarded', KEY, SCRYPT_COST.local)
    const passphrase = join(folder, 'passphrase')
    writeFileSync(passphrase, 'wrong\n')
    expect(() => openKeystore(folder).load('guarded')).toThrow(keystoreError('does not open the key file'))
    writeFileSync(passphrase, '\n')
    expect(() => openKeystore(folder)).toThrow(keystoreError('is empty'))
    rmSync(passphrase)
    expect(() => openKeystore(folder)).toThrow(keystoreError('is missing'))
  })

  test('refuses files that others may read', () => {
    openKeystore(folder).store('guarded', KEY, SCRYPT_COST.local)
    chmodSync(join(folder, 'passphrase'), 0o640)
    expect(() => openKeystore(folder)).toThrow(keystoreError('Others than its owner'))
    chmodSync(join(folder, 'passphrase'), 0o600)
    chmodSync(folder, 0o755)
    expect(() => openKeystore(folder)).toThrow(keystoreError('Others than its owner'))
  })

  test('refuses a file that is damaged, mislabelled or for another address', () => {
    const { address } = openKeystore(folder).store('guarded', KEY, SCRYPT_COST.local)
    const path = join(folder, `${address.toLowerCase()}.json`)
    const file = JSON.parse(readFileSync(path, 'utf8'))
    const write = (value: unknown) => writeFileSync(path, JSON.stringify(value))
    write({ ...file, address: '11'.repeat(20) })
    expect(() => openKeystore(folder).load('guarded')).toThrow(keystoreError('holds the key of'))
    write({ ...file, crypto: { ...file.crypto, mac: '00'.repeat(32) } })
    expect(() => openKeystore(folder).load('guarded')).toThrow(keystoreError('does not open'))
    write({ ...file, version: 1 })
    expect(() => openKeystore(folder)).toThrow(keystoreError('no key file'))
    writeFileSync(path, 'no json')
    expect(() => openKeystore(folder)).toThrow(keystoreError('no key file'))
    write(file)
    writeFileSync(join(folder, 'twin.json'), JSON.stringify(file), { mode: 0o600 })
    expect(() => openKeystore(folder)).toThrow(keystoreError('labelled "guarded"'))
  })

  // From the "Web3 Secret Storage Definition" of ethereum.org, "Test Vectors". Both hold the same key.
  const VECTOR_KEY = '7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'
  test.each([
    {
      kdf: 'pbkdf2',
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
    },
    {
      kdf: 'scrypt',
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
    },
  ])('reads the published vector of $kdf', ({ crypto }) => {
    place({ crypto, id: '3198bc9c-6672-5ab3-d995-4942343ae5b6', version: 3 }, 'testpassword', VECTOR_KEY)
    const address = privateKeyToAccount(`0x${VECTOR_KEY}`).address
    expect(openKeystore(folder).load('vector')?.address).toBe(address)
  })
})

const more = sampleFile('conformance/KeyStoreTests_basic_tests.json')
describe.runIf(more.exists)(`more vectors (${more.title})`, () => {
  type Vector = { json: object; password: string; priv: string }
  const vectors: [string, Vector][] = more.exists
    ? Object.entries(JSON.parse(readFileSync(more.path, 'utf8')) as Record<string, Vector>)
    : []
  test.each(vectors)('%s', (_name, { json, password, priv }) => {
    const { crypto, Crypto } = json as { crypto?: object; Crypto?: object }
    place({ ...json, crypto: crypto ?? Crypto }, password, priv)
    expect(openKeystore(folder).load('vector')?.address).toBe(privateKeyToAccount(`0x${priv}`).address)
  })
})
