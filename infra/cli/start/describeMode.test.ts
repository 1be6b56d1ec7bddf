import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { agentId } from '../../../runtime/core/ids.ts'
import type { PolicyFile } from '../../../runtime/guards/policy.ts'
import { FRIEND, policyOf } from '../../../test/conformance/signerFixture.ts'
import { describeMode, obstaclesOf } from './describeMode.ts'

const REAL = 8_453
const approvals = { personAboveUsd: 'none', owners: [FRIEND], threshold: 1, expirySeconds: 3_600 }
const graduation: PolicyFile['graduation'] = [
  { days: 0, mode: 'propose', partBps: 1_000 },
  { days: 7, mode: 'execute', partBps: 10_000 },
]
const at = { step: 0, of: 2, goodSince: null, mode: 'propose', nextInDays: 7, signerDays: null } as const

const agentWith = (limits: Partial<PolicyFile>) => ({
  id: agentId('guardian'),
  policy: policyOf(limits),
  policyPath: resolve('policies/mine.json'),
})

const HELD =
  'guardian proposes, and never acts by itself: chain 8453 is real, and its policy states no steps by which it could rise.'
const NOBODY = 'guardian begins by asking, and its policy names no owners: nobody can approve what it asks.'

describe('how far an agent may go', () => {
  it('is to ask for good without steps on a real chain; and what to write is said in the same line', () => {
    expect(describeMode(agentWith({ approvals }), REAL, null)).toEqual([
      `${HELD} To have it rise, write "graduation": [{ "days": 0, "mode": "propose", "partBps": 1000 }, { "days": 7, "mode": "execute", "partBps": 2500 }, { "days": 30, "mode": "execute", "partBps": 10000 }] in policies/mine.json.`,
    ])
    expect(describeMode(agentWith({}), REAL, null)).toEqual([
      expect.stringContaining(HELD),
      `${NOBODY} Name them in approvals.owners of policies/mine.json.`,
    ])
  })

  it('is what its policy says on a development chain, and by its steps', () => {
    expect(describeMode(agentWith({}), 31_337, null)).toEqual([
      'guardian acts with its full limits from the first block (graduation "none"), in mode execute.',
    ])
    expect(describeMode(agentWith({ graduation }), REAL, at)).toEqual([
      'guardian stands on step 1 of 2, in mode propose; the next in 7 days without a denial or deviation. ' +
        'Its policy names no owners, so nobody can approve what it asks.',
    ])
  })

  it.each<[string, Partial<PolicyFile>, number, readonly string[]]>([
    ['steps and owners', { graduation, approvals }, REAL, []],
    ['steps and no owners', { graduation }, REAL, [NOBODY]],
    ['no steps', { approvals }, REAL, [HELD]],
    ['no steps and no owners', {}, REAL, [HELD, NOBODY]],
    ['who only observes', { mode: 'observe' }, REAL, []],
    ['who only asks', { mode: 'propose', approvals }, REAL, []],
    ['who only asks, and nobody', { mode: 'propose' }, REAL, [NOBODY]],
    ['a development chain', {}, 1_337, []],
  ])('has as obstacles of %s what its owner can change', (_what, limits, chainId, said) => {
    expect(obstaclesOf(agentWith(limits), chainId).map(({ detail }) => detail)).toEqual(said)
  })

  it('shows steps that a policy takes as they are written', () => {
    const [{ fix } = expect.unreachable()] = obstaclesOf(agentWith({ approvals }), REAL)
    const written = /write (.*) in policies/.exec(fix)?.[1] ?? expect.unreachable()
    const steps = JSON.parse(`{${written}}`) as Pick<PolicyFile, 'graduation'>
    expect(obstaclesOf(agentWith({ approvals, ...steps }), REAL)).toEqual([])
  })
})
