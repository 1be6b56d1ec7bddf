import { expect, it } from 'vitest'
import { agentId, intentId, runId, unaidedIntentId } from './ids.ts'

const hash = `0x${'ab'.repeat(32)}` as const
const protector = agentId('protector')
const guarded = { agent: agentId('guardian'), account: `0x${'Cd'.repeat(20)}` as const }

it('an unaided intent has an id of its own for each name, agent, account and block, and none that a run has', () => {
  const ids = [
    unaidedIntentId(protector, guarded, hash),
    unaidedIntentId(agentId('evacuation'), guarded, hash),
    unaidedIntentId(protector, { ...guarded, agent: protector }, hash),
    unaidedIntentId(protector, { ...guarded, account: `0x${'ef'.repeat(20)}` }, hash),
    unaidedIntentId(protector, guarded, `0x${'01'.repeat(32)}`),
    intentId(runId(protector, hash)),
  ]
  expect(new Set(ids).size).toBe(ids.length)
})

it('is the same, however the account is spelled', () => {
  const small = { ...guarded, account: `0x${'cd'.repeat(20)}` as const }
  expect(unaidedIntentId(protector, small, hash)).toBe(unaidedIntentId(protector, guarded, hash))
})
