import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { book, GENESIS, names, policy, policyOf, STRANGER } from '../../test/conformance/signerFixture.ts'
import { deriveKey } from './deriveKey.ts'
import type { SignerAccount, StartParameters } from './messages.ts'
import { startSigner } from './startSigner.ts'

const ACCOUNT: SignerAccount = { label: 'one', key: { kind: 'derived', seed: '1' }, policies: [policy] }
const atOnce = [{ days: 0, mode: 'execute' as const, partBps: 10_000 }]

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-signer-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const start = (changes: Partial<StartParameters> = {}) =>
  startSigner({
    directory,
    chainId: book.chainId,
    genesisHash: GENESIS,
    book,
    accounts: [ACCOUNT],
    ...changes,
  })

/** Starts and ends a signer, and gives what it said. */
async function startedWith(changes: Partial<StartParameters>) {
  const { started, close } = await start(changes)
  close()
  return started
}

describe('startSigner', () => {
  test.each<[string, Partial<StartParameters>]>([
    ['a book of another chain', { chainId: 1 }],
    [
      'a policy whose limits are not those of its version',
      { accounts: [{ ...ACCOUNT, policies: [{ ...policy, recipients: [STRANGER] }] }] },
    ],
    ['two accounts of one name', { accounts: [ACCOUNT, ACCOUNT] }],
    ['a name that is none', { accounts: [{ ...ACCOUNT, label: '../x' }] }],
    ['a protector of nobody', { accounts: [{ ...ACCOUNT, protects: 'two' }] }],
    ['a protector without a Safe', { accounts: [ACCOUNT, { ...ACCOUNT, label: 'two', protects: 'one' }] }],
    ['a derived key on a real chain', { chainId: 1, book: { ...book, chainId: 1 } }],
    [
      'a policy that would act from the first block on a real chain',
      {
        chainId: 1,
        book: { ...book, chainId: 1 },
        accounts: [{ label: 'one', key: { kind: 'stored' }, policies: [policyOf({ graduation: atOnce })] }],
      },
    ],
  ])('refuses %s, and leaves nothing behind', async (_what, changes) => {
    await expect(start(changes)).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION' })
    expect(readdirSync(directory)).toEqual([])
  })

  test('refuses a book in which one contract could be taken for another', async () => {
    const twice = { ...book, tokens: [...book.tokens, { address: names.pool, symbol: 'X', decimals: 1 }] }
    await expect(start({ book: twice })).rejects.toMatchObject({ code: 'AMBIGUOUS_ADDRESS_BOOK' })
  })

  test('says when its folder cannot be used', async () => {
    writeFileSync(join(directory, 'file'), '')
    await expect(start({ directory: join(directory, 'file') })).rejects.toMatchObject({
      code: 'LEDGER_UNWRITABLE',
    })
  })

  test('derives the same keys everywhere', async () => {
    const { accounts } = await startedWith({})
    // Fixed: recorded calldata and scenarios depend on it.
    expect(accounts[0]?.address).toBe('0x9a082FE331C0D606576E1bd69262D714C132438C')
    expect(accounts[0]?.address).toBe(privateKeyToAccount(deriveKey({ label: 'one', seed: '1' })).address)
    const reseeded = await startedWith({ accounts: [{ ...ACCOUNT, key: { kind: 'derived', seed: '2' } }] })
    expect(reseeded.accounts[0]?.address).not.toBe(accounts[0]?.address)
  })

  test('makes a key once, and keeps it', async () => {
    const accounts: SignerAccount[] = [ACCOUNT, { label: 'kept', key: { kind: 'stored' }, policies: [] }]
    const first = (await startedWith({ accounts })).accounts
    const second = (await startedWith({ accounts })).accounts
    expect(first.map(({ created }) => created)).toEqual([true, true])
    expect(second.map(({ created }) => created)).toEqual([false, false])
    expect(second.map(({ address }) => address)).toEqual(first.map(({ address }) => address))
    for (const folder of ['keystore', 'signer']) {
      expect(statSync(join(directory, folder)).mode & 0o777).toBe(0o700)
      for (const name of readdirSync(join(directory, folder)))
        expect(statSync(join(directory, folder, name)).mode & 0o777).toBe(0o600)
    }
  })

  test('makes no key of value under a passphrase that lies beside it', async () => {
    const accounts: SignerAccount[] = [{ label: 'kept', key: { kind: 'stored' }, policies: [] }]
    const real = { chainId: 1, book: { ...book, chainId: 1 }, accounts }
    await expect(start(real)).rejects.toMatchObject({
      code: 'KEYSTORE',
      fix: 'Run rialto wallet create --label kept',
    })
    expect(readdirSync(join(directory, 'keystore'))).toEqual([])
    // With a passphrase of its owner's it does.
    const path = join(directory, 'secret')
    writeFileSync(path, 'correct horse battery\n', { mode: 0o600 })
    const { started, close } = await start({ ...real, passphrase: { kind: 'file', path } })
    close()
    expect(started.accounts[0]?.created).toBe(true)
    expect(readdirSync(join(directory, 'keystore'))).toHaveLength(1)
    // The local world goes on in the same folder, with a passphrase of its own.
    expect((await startedWith({})).accounts[0]?.created).toBe(true)
  })

  test('needs no keystore without accounts', async () => {
    expect((await startedWith({ accounts: [] })).accounts).toEqual([])
    expect(existsSync(join(directory, 'keystore'))).toBe(false)
  })

  test('lets go of the folder when it ends, and when it cannot start', async () => {
    const lock = join(directory, 'signer', 'lock')
    const { close } = await start()
    expect(existsSync(lock)).toBe(true)
    close()
    expect(existsSync(lock)).toBe(false)
    writeFileSync(join(directory, 'signer', 'ledger.jsonl'), 'no ledger\n')
    await expect(start()).rejects.toMatchObject({ code: 'LEDGER_CORRUPT' })
    expect(existsSync(lock)).toBe(false)
  })
})
