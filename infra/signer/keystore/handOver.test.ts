import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { book, GENESIS, planOf, policy, requestOf } from '../../../test/conformance/signerFixture.ts'
import { createSignerProcess, type SignerProcess } from '../createSignerProcess.ts'
import { passphraseHandOver, type SignerPassphrase } from './handOver.ts'
import { SCRYPT_COST } from './keyFile.ts'
import { openKeystore } from './openKeystore.ts'

const PASSPHRASE = 'correct horse battery'

let directory: string
let opened: SignerProcess[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-handover-'))
  opened = []
  openKeystore(join(directory, 'keystore'), Buffer.from(PASSPHRASE)).store({
    label: 'one',
    privateKey: `0x${'4c'.repeat(32)}`,
    cost: SCRYPT_COST.local,
  })
})
afterEach(async () => {
  for (const signer of opened) await signer.close()
  rmSync(directory, { recursive: true })
})

async function start(passphrase: SignerPassphrase): Promise<SignerProcess> {
  const signer = await createSignerProcess({
    directory,
    chainId: book.chainId,
    genesisHash: GENESIS,
    book,
    accounts: [{ label: 'one', key: { kind: 'stored' }, policies: [policy] }],
    passphrase,
  })
  opened.push(signer)
  return signer
}

/** Kills the process, and returns when its parent knows. */
async function kill(signer: SignerProcess): Promise<void> {
  process.kill(signer.pid as number, 'SIGKILL')
  await vi.waitFor(() => expect(signer.pid).toBeNull())
}

function file(content = PASSPHRASE): string {
  const path = join(directory, 'secret')
  writeFileSync(path, `${content}\n`, { mode: 0o600 })
  return path
}

describe('a passphrase that is handed over', () => {
  test('as bytes is overwritten, and a signer that died cannot be started again without it', async () => {
    const bytes = Buffer.from(PASSPHRASE)
    const signer = await start({ kind: 'bytes', bytes })
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    const request = requestOf(planOf(signer.addressOf('one')))
    await signer.sign(request)
    await kill(signer)
    await expect(signer.sign(request)).rejects.toMatchObject({
      code: 'KEYSTORE',
      message: expect.stringContaining('was not kept'),
      fix: expect.stringContaining('Start Rialto again'),
      retryable: false,
    })
  })

  test('as a file starts the signer again by itself', async () => {
    const signer = await start({ kind: 'file', path: file() })
    const request = requestOf(planOf(signer.addressOf('one')))
    const signed = await signer.sign(request)
    await kill(signer)
    expect(await signer.sign(request)).toEqual(signed)
  })

  test.each<[string, () => SignerPassphrase, string]>([
    ['that is wrong, as bytes', () => ({ kind: 'bytes', bytes: Buffer.from('wrong') }), 'does not open'],
    ['that is wrong, in a file', () => ({ kind: 'file', path: file('wrong') }), 'does not open'],
    ['that is empty', () => ({ kind: 'bytes', bytes: Buffer.alloc(0) }), 'is empty'],
    ['that is not there', () => ({ kind: 'file', path: join(directory, 'none') }), 'ENOENT'],
    ['on a descriptor that is not open', () => ({ kind: 'fd', fd: 999 }), '999 is not open'],
    ['that lies beside the keys, and does not', () => ({ kind: 'made' }), 'is missing'],
  ])('and %s is refused by what the signer says', async (_what, passphrase, message) => {
    await expect(start(passphrase())).rejects.toMatchObject({
      code: 'KEYSTORE',
      message: expect.stringContaining(message),
    })
  })

  test('is given once where it can be read once, and as often as need be from a file', () => {
    const fromFile = passphraseHandOver({ kind: 'file', path: 'secret' })
    for (let start = 0; start < 2; start += 1)
      expect(fromFile()).toEqual({ source: { kind: 'file', path: resolve('secret') }, channel: null })
    const fromBytes = passphraseHandOver({ kind: 'bytes', bytes: Buffer.from('x') })
    expect(fromBytes()).toMatchObject({ source: { kind: 'fd', fd: 4 }, channel: { stdio: 'pipe' } })
    expect(() => fromBytes()).toThrow('was not kept')
    expect(passphraseHandOver(undefined)()).toEqual({ source: undefined, channel: null })
  })
})
