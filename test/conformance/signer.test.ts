import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { createSignerProcess, type SignerProcess } from '../../infra/signer/createSignerProcess.ts'
import type { SignerAccount } from '../../infra/signer/messages.ts'
import { memorySigner } from '../twins/memorySigner.ts'
import { signerConformance } from './signer.ts'
import { book, GENESIS, policy } from './signerFixture.ts'

const account = (label: string): SignerAccount => ({
  label,
  key: { kind: 'derived', seed: '1' },
  policies: [policy],
})

describe('memorySigner', () => {
  signerConformance(async () => memorySigner({ book, accounts: [account('one'), account('two')] }))
})

describe('the signer process', () => {
  // One process for all tests, with two accounts for each: accounts share nothing but the process.
  const pairs = Array.from({ length: 30 }, (_, n) => [account(`one-${n}`), account(`two-${n}`)] as const)
  const directory = mkdtempSync(join(tmpdir(), 'rialto-signer-'))
  let signer: SignerProcess
  beforeAll(async () => {
    signer = await createSignerProcess({
      directory,
      chainId: book.chainId,
      genesisHash: GENESIS,
      book,
      accounts: pairs.flat(),
    })
  })
  afterAll(async () => {
    await signer.close()
    rmSync(directory, { recursive: true })
  })
  signerConformance(async () => {
    const pair = pairs.pop() ?? expect.unreachable('more tests than pairs of accounts')
    const addresses = pair.map(({ label }) => signer.addressOf(label))
    return { ...signer, accounts: async () => addresses }
  })
})
