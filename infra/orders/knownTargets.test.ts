import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address } from 'viem'
import { expect, it, onTestFinished } from 'vitest'
import { at } from '../../runtime/guards/guardScene.fixture.ts'
import { findStranger } from '../api/status.ts'
import { resolveActor } from '../config/loadConfig.ts'
import { knownTargets } from './knownTargets.ts'

it('knows agents, accounts, Safes and every key that acts for them, wherever it is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-known-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'keystore'))
  const stored = at(0x21)
  // It need not even be whole.
  writeFileSync(join(directory, 'keystore', `${stored.toLowerCase()}.json`), '')
  writeFileSync(join(directory, 'keystore', 'passphrase'), '')

  const remote = (address: Address) => ({ kind: 'remote' as const, url: 'https://keys.example', address })
  const kms = { kind: 'kms' as const, keyId: 'alias/own' }
  const safe = {
    safe: at(0x22),
    modifier: at(0x23),
    roleKey: `0x${'11'.repeat(32)}` as const,
    multiSend: at(0x24),
  }
  const agents = [
    {
      id: 'safe',
      account: { ...safe, protector: { key: { ...kms, address: at(0x25) } } },
      key: remote(at(0x26)),
    },
    { id: 'own', key: kms },
    { id: 'watched', account: at(0x27) },
  ].map(resolveActor)
  const known = knownTargets(directory, agents, [at(0x28), stored])

  expect(known.agents).toEqual(['safe', 'own', 'watched'])
  expect([...known.accounts].sort()).toEqual([stored, ...[0x22, 0x25, 0x26, 0x27, 0x28].map(at)].sort())
  for (const account of known.accounts) expect(findStranger({ account }, known)).toBeNull()
  // No order stops a contract by its name.
  expect(findStranger({ account: safe.modifier }, known)).toContain(safe.modifier)
})
