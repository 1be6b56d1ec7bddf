import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { book, policyFile } from '../../../../runtime/guards/guardScene.fixture.ts'
import { loadConfig } from '../../../config/loadConfig.ts'
import { examineSafety } from './examineSafety.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-doctor-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** What is said of the mode of an agent, on a chain, by its policy. */
const modes = (chainId: number, changes: object) => findings('mode', chainId, changes)

async function findings(what: string, chainId: number, changes: object, agent: object = {}) {
  const put = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value))
  put('policy.json', { ...policyFile, ...changes })
  put('book.json', { ...book, chainId })
  put('rialto.config.json', {
    directory: 'state',
    chain: { kind: 'rpc', rpcUrl: 'http://127.0.0.1:8545', chainId, addressBook: 'book.json' },
    agents: [{ id: 'guardian', role: 'lending-guardian', policy: 'policy.json', ...agent }],
  })
  const config = await loadConfig(join(folder, 'rialto.config.json'))
  return (await examineSafety(config, false)).filter(({ name }) => name === what)
}

const steps = [
  { days: 0, mode: 'propose', partBps: 1_000 },
  { days: 7, mode: 'execute', partBps: 10_000 },
]
const owned = { ...policyFile.approvals, owners: ['0x00000000000000000000000000000000000000A1'] }

it('says how far an agent may go, and warns of what keeps it from going further', async () => {
  expect(await modes(31_337, {})).toMatchObject([
    { ok: true, warning: false, detail: 'guardian begins in mode execute, with all its limits' },
  ])
  expect(await modes(8_453, { graduation: steps, approvals: owned })).toMatchObject([
    { warning: false, detail: 'guardian begins in mode propose, on the first of 2 steps' },
  ])
  expect(await modes(8_453, { graduation: steps })).toMatchObject([
    {
      warning: true,
      detail: expect.stringContaining('names no owners'),
      fix: expect.stringContaining('policy.json'),
    },
  ])
  expect(await modes(8_453, { approvals: owned })).toMatchObject([
    {
      ok: true,
      warning: true,
      detail: expect.stringContaining('guardian proposes, and never acts by itself: chain 8453 is real'),
      fix: expect.stringMatching(/^To have it rise, write "graduation": \[.*policy\.json\.$/),
    },
  ])
})

it('is refused a policy that would act from the first block, by file and path', async () => {
  const hasty = { graduation: [{ days: 0, mode: 'execute', partBps: 10_000 }] }
  await expect(modes(8_453, hasty)).rejects.toThrow(
    /policy\.json: graduation\[0\]\.mode is "execute", and on chain 8453, which is real, an agent begins by asking/,
  )
  expect(await modes(31_337, hasty)).toHaveLength(1)
})

it('says of whom the protector does not know the key', async () => {
  const kms = { kind: 'kms', keyId: 'alias/own' }
  expect(await findings('protector key', 31_337, {}, { key: kms })).toMatchObject([
    {
      ok: false,
      detail: 'guardian is not protected: There is no key for "guardian".',
      fix: 'Name its address in key.address.',
    },
  ])
  const address = '0x00000000000000000000000000000000000000A1'
  expect(await findings('protector key', 31_337, {}, { key: { ...kms, address } })).toEqual([])
  // The start makes it.
  expect(await findings('protector key', 31_337, {})).toEqual([])
})
