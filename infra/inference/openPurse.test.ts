import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openPurse } from './openPurse.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'purse-'))
})
afterEach(() => rm(directory, { recursive: true }))
const code = (value: string) => expect.objectContaining({ code: value })
const named = () => ({ directory, name: 'agents' })

it('is the same purse again, for its owner alone', async () => {
  const first = await openPurse(named())
  const seed = first.wallet.exportSeed()
  await first.close()
  const second = await openPurse(named())
  expect(second.account).toBe(first.account)
  expect(second.wallet.exportSeed()).toEqual(seed)
  await second.close()
  for (const name of (await readdir(directory)).filter((each) => !each.endsWith('.lock')))
    expect((await stat(join(directory, name))).mode & 0o077).toBe(0)
  expect(await readFile(join(directory, 'agents.wallet'), 'latin1')).not.toContain(
    Buffer.from(seed).toString('hex'),
  )
})

it('is held by one process at a time', async () => {
  const purse = await openPurse(named())
  await expect(openPurse(named())).rejects.toThrow(code('LOG_LOCKED'))
  await purse.close()
})

it('takes a passphrase, and then no other', async () => {
  await (await openPurse({ ...named(), passphrase: 'a passphrase' })).close()
  expect(await readdir(directory)).not.toContain('agents.passphrase')
  await expect(openPurse({ ...named(), passphrase: 'another' })).rejects.toThrow(code('WALLET_SECRET'))
  await expect(openPurse(named())).rejects.toThrow('was made with a passphrase of your own')
  expect(await readdir(directory)).not.toContain('agents.passphrase')
}, 30_000)

it('is made anew from a seed', async () => {
  const seed = new Uint8Array(32).fill(7)
  const purse = await openPurse({ ...named(), seed })
  expect(purse.wallet.exportSeed()).toEqual(seed)
  await purse.close()
})

it('refuses what is damaged or open to others', async () => {
  await (await openPurse(named())).close()
  const account = join(directory, 'agents.account')
  await chmod(account, 0o644)
  await expect(openPurse(named())).rejects.toThrow('can be read by others')
  await chmod(account, 0o600)
  await writeFile(account, 'nonsense')
  await expect(openPurse(named())).rejects.toThrow('holds no account key')
  await writeFile(account, '')
  await expect(openPurse(named())).rejects.toThrow('is empty')
})
