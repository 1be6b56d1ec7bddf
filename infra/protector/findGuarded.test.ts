import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { agentId } from '../../runtime/core/ids.ts'
import { at, policyFile } from '../../runtime/guards/guardScene.fixture.ts'
import { parsePolicy, withMode } from '../../runtime/guards/policy.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import type { AgentConfig, KeyConfig } from '../config/loadConfig.ts'
import { SCRYPT_COST } from '../signer/keystore/keyFile.ts'
import { openKeystore } from '../signer/keystore/openKeystore.ts'
import { findGuarded, isUnprotected } from './findGuarded.ts'
import { memberOf } from './memberOf.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-guarded-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const protector = { rollingUsd: '3000', allowances: { WETH: '3', native: '1' } }
const reserving = parsePolicy({ ...policyFile, protector })
const [SAFE, MODIFIER, MULTI_SEND] = [at(0x71), at(0x72), at(0x73)]

/** An agent that guards a Safe, whose protector's key is where it is said. */
const guardian = (
  changes: Partial<AgentConfig> = {},
  key: KeyConfig = { kind: 'keystore' },
): AgentConfig => ({
  ...{ id: agentId('guardian'), role: 'lending-guardian', key: { kind: 'keystore' }, evacuateTo: null },
  ...{ account: SAFE, policy: reserving, policyPath: '' },
  safe: {
    ...{ safe: SAFE, modifier: MODIFIER, roleKey: `0x${'11'.repeat(32)}`, multiSend: MULTI_SEND },
    ...{ firstBlock: null, protector: { label: 'guardian-protector', key, roleKey: `0x${'22'.repeat(32)}` } },
  },
  ...changes,
})

function makeKey(label: string) {
  const keystore = openKeystore(join(directory, 'keystore'), Buffer.from('a passphrase for this'))
  const made = keystore.store({ label, privateKey: generatePrivateKey(), cost: SCRYPT_COST.local })
  keystore.close()
  return made.address
}

describe('whom a protector stands behind', () => {
  it('is a Safe by a key, a role and limits of its own, and never by the agent’s', () => {
    makeKey('guardian')
    expect(() => findGuarded({ agents: [guardian()], directory })).toThrow(
      /There is no key for "guardian-protector"/,
    )
    const sender = makeKey('guardian-protector')
    expect(findGuarded({ agents: [guardian()], directory }).guarded).toMatchObject([
      {
        account: SAFE,
        policy: { version: protectorPolicy(reserving)?.version },
        route: { sender, modifier: MODIFIER, multiSend: MULTI_SEND, roleKey: `0x${'22'.repeat(32)}` },
      },
    ])
  })

  it('may have its key elsewhere, as long as its address is known', () => {
    const kms = { kind: 'kms', keyId: 'alias/protector' } as const
    const agents = [guardian({}, { ...kms, address: at(0x74) })]
    expect(findGuarded({ agents, directory }).guarded).toMatchObject([{ route: { sender: at(0x74) } }])
    expect(() => findGuarded({ agents: [guardian({}, kms)], directory })).toThrow(
      expect.objectContaining({ code: 'NO_KEY', fix: 'Name its address in key.address.' }),
    )
  })

  it('is an account of the agent’s own key by that key and the agent’s limits', () => {
    const account = makeKey('guardian')
    const agents = [guardian({ account: null, safe: null })]
    expect(findGuarded({ agents, directory }).guarded).toMatchObject([
      { account, policy: { version: reserving.version }, route: null },
    ])
  })

  it('is whoever has a key, although another has none', () => {
    const kms = { kind: 'kms', keyId: 'alias/protector' } as const
    const agents = [guardian({}, kms), guardian({ id: agentId('other'), account: at(0x75), safe: null })]
    expect(findGuarded({ agents, directory })).toMatchObject({
      guarded: [{ config: { id: 'other' }, account: at(0x75) }],
      keyless: [{ config: { id: 'guardian' }, error: { code: 'NO_KEY' } }],
    })
  })

  it('is no Safe for which nothing is reserved, and nobody who may not act or guards nothing', () => {
    const unprotected = guardian({ policy: parsePolicy(policyFile) })
    expect(isUnprotected(unprotected)).toBe(true)
    for (const agent of [
      unprotected,
      guardian({ policy: withMode(reserving, 'propose') }),
      guardian({ role: 'liquidator' }),
    ])
      expect(() => findGuarded({ agents: [agent], directory })).toThrow(/guards a position and may act/)
    expect(memberOf(guardian({ role: 'liquidator' }))).toBeNull()
    // Where a person is asked, the member is there all the same, and signs nothing by itself.
    expect(memberOf(guardian({ policy: withMode(reserving, 'propose') }))?.label).toBe('guardian-protector')
  })
})
