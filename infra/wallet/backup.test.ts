import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAddress } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SCRYPT_COST } from '../signer/keystore/keyFile.ts'
import { type KeystoreFolder, openKeystore } from '../signer/keystore/openKeystore.ts'
import { openBackup, planRestore, restoreBackup, writeBackup } from './backup.ts'
import { FIRST_ACCOUNT, openForeignFile } from './parseKey.ts'

const ONE = `0x${'4c'.repeat(32)}` as const
const TWO = `0x${'4d'.repeat(32)}` as const
const WORLD = `0x${'4e'.repeat(32)}` as const
const BACKUP = 'the passphrase of the backup'

let folder: string
let path: string
let keystore: KeystoreFolder
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-backup-'))
  path = join(folder, 'backup.json')
  keystore = open('here')
  const cost = SCRYPT_COST.local
  keystore.store({ label: 'one', privateKey: ONE, cost })
  keystore.store({ label: 'two', privateKey: TWO, cost, derivationPath: FIRST_ACCOUNT })
  keystore.store({ label: 'one.7', privateKey: WORLD, cost })
})
afterEach(() => rmSync(folder, { recursive: true }))

const open = (name: string) => openKeystore(join(folder, name), Buffer.from('correct horse battery'))
const write = (label: string | null = null, passphrase = BACKUP) =>
  writeBackup(keystore, { path, passphrase: Buffer.from(passphrase), label, cost: SCRYPT_COST.local })
const read = (passphrase = BACKUP) => openBackup(path, Buffer.from(passphrase))
const restore = (into: KeystoreFolder) => restoreBackup(read(), into, SCRYPT_COST.local)
const [one, two] = [
  { label: 'one', address: privateKeyToAddress(ONE), derivationPath: null },
  { label: 'two', address: privateKeyToAddress(TWO), derivationPath: FIRST_ACCOUNT },
]
const failing = (code: string, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) })

describe('a backup', () => {
  test('gives back every key of value, under a passphrase of its own', () => {
    expect(write()).toEqual([one, two])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(read()).toEqual([
      { ...one, privateKey: ONE },
      { ...two, privateKey: TWO },
    ])
    expect(() => read('correct horse battery')).toThrow(failing('KEYSTORE', 'does not open'))
    const text = readFileSync(path, 'utf8')
    for (const secret of [ONE.slice(2), TWO.slice(2), BACKUP]) expect(text).not.toContain(secret)
  })

  test('can be of one key', () => {
    expect(write('two')).toEqual([two])
    expect(read()).toEqual([{ ...two, privateKey: TWO }])
  })

  test('holds files that other tools open', () => {
    write('one')
    const [file] = JSON.parse(readFileSync(path, 'utf8')).keys
    expect(openForeignFile('it', JSON.stringify(file), Buffer.from(BACKUP))).toBe(ONE)
  })

  test('is refused without a key, under a short passphrase, or in the place of a file', () => {
    expect(() => write('none')).toThrow(failing('KEYSTORE', 'no key labelled "none"'))
    expect(() => write(null, 'too short')).toThrow(failing('KEYSTORE', 'at least 12'))
    keystore = open('empty')
    expect(() => write()).toThrow(failing('INVALID_INPUT', 'no key to back up'))
    expect(readdirSync(folder)).not.toContain('backup.json')
    keystore = open('here')
    writeFileSync(path, 'mine')
    expect(() => write()).toThrow(failing('KEYSTORE', 'EEXIST'))
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })

  test('that was cut off anywhere is refused', () => {
    write('one')
    const text = readFileSync(path, 'utf8').trimEnd()
    for (let length = 0; length < text.length; length += 37) {
      writeFileSync(path, text.slice(0, length))
      expect(() => read()).toThrow(failing('BACKUP_DAMAGED', 'cut off'))
    }
  })

  test('that was edited anywhere is refused', () => {
    write()
    const whole = JSON.parse(readFileSync(path, 'utf8'))
    const [first, second] = whole.keys
    const edits: [object, string][] = [
      [{ ...whole, format: 'other' }, 'format'],
      [{ ...whole, version: 2 }, 'version'],
      [{ ...whole, keys: [] }, 'keys'],
      [{ ...whole, keys: [first] }, 'checksum'],
      [{ ...whole, keys: [second, first] }, 'checksum'],
      [{ ...whole, keys: [{ ...first, label: 'two' }, second] }, 'checksum'],
      [{ ...whole, checksum: '' }, 'checksum'],
    ]
    for (const [edited, why] of edits) {
      writeFileSync(path, JSON.stringify(edited))
      expect(() => read()).toThrow(failing('BACKUP_DAMAGED', why))
    }
    // Written differently, it is the same backup.
    writeFileSync(path, JSON.stringify(whole))
    expect(read()).toHaveLength(2)
  })
})

describe('restoring', () => {
  test('brings the keys to an empty keystore, and changes nothing the second time', () => {
    write()
    const other = open('other')
    expect(restore(other)).toEqual([
      { ...one, outcome: 'new' },
      { ...two, outcome: 'new' },
    ])
    const names = readdirSync(join(folder, 'other'))
    const contents = names.map((name) => readFileSync(join(folder, 'other', name), 'utf8'))
    const again = open('other')
    expect(restore(again).map(({ outcome }) => outcome)).toEqual(['there already', 'there already'])
    expect(names.map((name) => readFileSync(join(folder, 'other', name), 'utf8'))).toEqual(contents)
    expect(again.reveal('two')).toBe(TWO)
    expect(again.entries().map(({ derivationPath }) => derivationPath)).toEqual([null, FIRST_ACCOUNT])
  })

  test('goes on where it was interrupted', () => {
    write()
    const other = open('other')
    other.store({ label: 'one', privateKey: ONE, cost: SCRYPT_COST.local })
    expect(restore(other).map(({ outcome }) => outcome)).toEqual(['there already', 'new'])
  })

  test.each([
    ['another key has the label', { label: 'two', privateKey: WORLD }, 'keystore has another'],
    ['the key has another label', { label: 'renamed', privateKey: TWO }, '"renamed" in the keystore'],
  ] as const)('writes nothing at all when %s', (_what, there, message) => {
    write()
    const other = open('other')
    other.store({ ...there, cost: SCRYPT_COST.local })
    const before = readdirSync(join(folder, 'other'))
    expect(() => restore(other)).toThrow(failing('BACKUP_CONFLICT', message))
    expect(() => planRestore(read(), other.entries())).toThrow(failing('BACKUP_CONFLICT', message))
    expect(readdirSync(join(folder, 'other'))).toEqual(before)
  })
})
