import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { graduatedPolicies, standing } from './graduation.ts'
import { policyFile } from './guardScene.fixture.ts'
import { type Policy, type PolicyFile, parsePolicy } from './policy.ts'

const steps = [
  { days: 0, mode: 'propose', partBps: 1_000 },
  { days: 7, mode: 'execute', partBps: 2_500 },
  { days: 30, mode: 'execute', partBps: 10_000 },
] as const

const graduating = (changes: Partial<PolicyFile> = {}): Policy =>
  parsePolicy({ ...policyFile, graduation: [...steps], ...changes } as PolicyFile)

describe('graduatedPolicies', () => {
  it('is the policy itself without steps', () => {
    const policy = parsePolicy(policyFile)
    expect(graduatedPolicies(policy)).toEqual([policy])
  })

  it('scales ordinary spend and leaves rescues alone', () => {
    const policy = graduating()
    const [first, second, last] = graduatedPolicies(policy)
    expect(first).toMatchObject({
      mode: 'propose',
      spend: { perTransaction: policy.spend.perTransaction / 10n, rolling: policy.spend.rolling / 10n },
      riskReducing: policy.riskReducing,
    })
    expect(second?.mode).toBe('execute')
    expect(last).toEqual(policy)
  })

  it('has a version of its own for each step that differs', () => {
    const versions = graduatedPolicies(graduating()).map(({ version }) => version)
    expect(new Set(versions).size).toBe(3)
  })

  it('never lets gas cost more than the transaction may', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999 }), (partBps) => {
        const policy = graduating({
          graduation: [
            { days: 0, mode: 'execute', partBps },
            { days: 1, mode: 'execute', partBps: 10_000 },
          ],
        })
        for (const each of graduatedPolicies(policy)) {
          expect(each.gas.maxCost).toBeLessThanOrEqual(each.spend.perTransaction)
          expect(each.spend.perTransaction).toBeLessThanOrEqual(policy.spend.perTransaction)
        }
      }),
    )
  })
})

describe('standing', () => {
  const DAY = 86_400n
  it.each([
    [null, 0n, 0],
    [100n, 100n, 0],
    [100n, 100n + 7n * DAY - 1n, 0],
    [100n, 100n + 7n * DAY, 1],
    [100n, 100n + 30n * DAY, 2],
    [100n, 100n + 9_999n * DAY, 2],
    // A clock that went back proves nothing.
    [100n, 99n, 0],
  ])('good since %s, now %s: step %i', (since, now, step) => {
    expect(standing(graduating(), since, now)).toBe(step)
  })
})
