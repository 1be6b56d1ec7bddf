import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SCRYPT_COST } from './keyFile.ts'
import { type KeystoreFolder, listKeys, openKeystore, requireLabel } from './openKeystore.ts'

const KEY = `0x${'4c'.repeat(32)}` as const
const OTHER = `0x${'4d'.repeat(32)}` as const
const PASSPHRASE = 'correct horse battery staple'
const { address: ADDRESS } = privateKeyToAccount(KEY)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-keystore-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const modeOf = (name: string) => statSync(join(folder, name)).mode & 0o777
const open = (passphrase = PASSPHRASE) => openKeystore(folder, Buffer.from(passphrase))
const storeIn = (keystore: KeystoreFolder, label = 'guarded', privateKey: `0x${string}` = KEY) =>
  keystore.store({ label, privateKey, cost: SCRYPT_COST.local })
const keystoreError = (text: string) =>
  expect.objectContaining({ code: 'KEYSTORE', message: expect.stringContaining(text) })

describe('openKeystore', () => {
  test('makes keys that only their owner may read', () => {
    expect(storeIn(open()).address).toBe(ADDRESS)
    expect(readdirSync(folder)).toEqual([`${ADDRESS.toLowerCase()}.json`])
    expect(modeOf(`${ADDRESS.toLowerCase()}.json`)).toBe(0o600)
    expect(modeOf('.')).toBe(0o700)
  })

  test('gives a key back after a restart, and none for another label', () => {
    storeIn(open())
    const keystore = open()
    expect(keystore.load('guarded')?.address).toBe(ADDRESS)
    expect(keystore.reveal('guarded')).toBe(KEY)
    expect(keystore.load('other')).toBeNull()
    expect(() => keystore.reveal('other')).toThrow(keystoreError('no key labelled "other"'))
  })

  test('makes random keys at the full cost', () => {
    const { address } = open().create('real')
    const file = JSON.parse(readFileSync(join(folder, `${address.toLowerCase()}.json`), 'utf8'))
    expect(file.crypto.kdfparams).toMatchObject({ n: 131_072, r: 8, p: 1 })
    expect(open().load('real')?.address).toBe(address)
  })

  test('lists what everybody may know, without a passphrase', () => {
    const path = join(folder, `${ADDRESS.toLowerCase()}.json`)
    open().store({ label: 'b', privateKey: KEY, cost: SCRYPT_COST.local, derivationPath: "m/44'/60'/0'/0/0" })
    const { address } = storeIn(open(), 'a', OTHER)
    expect(listKeys(folder)).toEqual([
      { label: 'a', address, path: join(folder, `${address.toLowerCase()}.json`), derivationPath: null },
      { label: 'b', address: ADDRESS, path, derivationPath: "m/44'/60'/0'/0/0" },
    ])
    expect(open().entries()).toEqual(listKeys(folder))
    expect(listKeys(join(folder, 'none'))).toEqual([])
  })

  test('never lets a key take the place of another', () => {
    const keystore = open()
    storeIn(keystore)
    expect(() => storeIn(keystore, 'guarded', OTHER)).toThrow(keystoreError('label "guarded" is taken'))
    expect(() => storeIn(keystore, 'second')).toThrow(keystoreError('there already, labelled "guarded"'))
    // Not even one that came there since it was opened.
    const stale = openKeystore(folder, Buffer.from(PASSPHRASE))
    const { address } = storeIn(open(), 'new', OTHER)
    const before = readFileSync(join(folder, `${address.toLowerCase()}.json`))
    expect(() => storeIn(stale, 'newer', OTHER)).toThrow(keystoreError('EEXIST'))
    expect(readFileSync(join(folder, `${address.toLowerCase()}.json`))).toEqual(before)
    expect(readdirSync(folder)).toHaveLength(2)
  })

  test('has one passphrase for all keys of value, whatever the local world has', () => {
    storeIn(open('made for the local world'), 'guarded.7', OTHER)
    storeIn(open())
    const mistyped = open('correct horse battery stable')
    expect(() => mistyped.create('second')).toThrow(keystoreError('does not open the key that is there'))
    expect(() => mistyped.load('guarded')).toThrow(keystoreError('does not open the key file'))
    expect(open('made for the local world').load('guarded.7')?.address).toBe(
      privateKeyToAccount(OTHER).address,
    )
  })

  test('takes no new passphrase of less than twelve characters, and opens old ones', () => {
    expect(() => open('elevenchars').create('a')).toThrow(keystoreError('at least 12 characters'))
    // Characters, not bytes.
    expect(() => open('ääääääääääé').create('a')).toThrow(keystoreError('at least 12 characters'))
    expect(readdirSync(folder)).toEqual([])
    expect(() => storeIn(open('twelve chars'))).not.toThrow()
  })

  test('forgets its passphrase when it is closed', () => {
    const passphrase = Buffer.from(PASSPHRASE)
    const keystore = openKeystore(folder, passphrase)
    storeIn(keystore)
    keystore.close()
    expect(passphrase.every((byte) => byte === 0)).toBe(true)
    expect(() => keystore.load('guarded')).toThrow(keystoreError('does not open'))
  })

  test('refuses files that others may read', () => {
    storeIn(open())
    chmodSync(join(folder, `${ADDRESS.toLowerCase()}.json`), 0o640)
    expect(() => open()).toThrow(keystoreError('Others than its owner'))
    chmodSync(join(folder, `${ADDRESS.toLowerCase()}.json`), 0o600)
    chmodSync(folder, 0o755)
    expect(() => open()).toThrow(keystoreError('Others than its owner'))
  })

  test('refuses a file that is damaged, mislabelled or for another address', () => {
    storeIn(open())
    const path = join(folder, `${ADDRESS.toLowerCase()}.json`)
    const file = JSON.parse(readFileSync(path, 'utf8'))
    const write = (value: unknown) => writeFileSync(path, JSON.stringify(value))
    write({ ...file, address: '11'.repeat(20) })
    expect(() => open().load('guarded')).toThrow(keystoreError('holds the key of'))
    write({ ...file, version: 1 })
    expect(() => open()).toThrow(keystoreError('no key file'))
    writeFileSync(path, 'no json')
    expect(() => open()).toThrow(keystoreError('no key file'))
    write(file)
    writeFileSync(join(folder, 'twin.json'), JSON.stringify(file), { mode: 0o600 })
    expect(() => open()).toThrow(keystoreError('labelled "guarded"'))
  })

  test('leaves nothing behind where it cannot write', () => {
    const keystore = open()
    rmSync(folder, { recursive: true })
    expect(() => storeIn(keystore)).toThrow(keystoreError('ENOENT'))
    mkdirSync(folder, { mode: 0o700 })
    // The name that the key would get is a folder's.
    mkdirSync(join(folder, `${ADDRESS.toLowerCase()}.json`))
    expect(() => storeIn(keystore)).toThrow(keystoreError('EEXIST'))
    expect(readdirSync(folder)).toEqual([`${ADDRESS.toLowerCase()}.json`])
  })
})

test.each(['', '-a', '../x', 'a.7', 'a b', 'x'.repeat(64), 'ä'])('"%s" names no key', (label) => {
  expect(() => requireLabel(label)).toThrow(keystoreError('cannot name a key'))
})
