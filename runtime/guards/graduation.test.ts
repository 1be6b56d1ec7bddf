import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { developmentChains } from '../core/developmentChains.ts'
import {
  graduatedPolicies,
  policyOn,
  SECONDS_PER_DAY,
  standing,
  standingAfter,
  stepsOn,
  withoutSteps,
} from './graduation.ts'
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

  const anySteps = fc
    .uniqueArray(fc.integer({ min: 1, max: 3_650 }), { maxLength: 4 })
    .map((days) => [0, ...days.toSorted((a, b) => a - b)])
    .map((days) =>
      graduating({
        graduation: days.map((day, index) => ({
          days: day,
          mode: index === days.length - 1 ? 'execute' : 'propose',
          partBps: index === days.length - 1 ? 10_000 : 1_000 + index,
        })),
      }),
    )

  it('takes every step at its day, and not a second before', () => {
    fc.assert(
      fc.property(anySteps, fc.bigInt({ min: 0n, max: 2n ** 40n }), (policy, since) => {
        if (policy.graduation === 'none') return
        for (const [index, { days }] of policy.graduation.entries()) {
          const due = BigInt(days) * DAY
          expect(standingAfter(policy, due)).toBe(index)
          expect(standing(policy, since, since + due)).toBe(index)
          expect(standing(policy, since, since + due - 1n)).toBe(Math.max(0, index - 1))
        }
      }),
    )
  })

  it('never falls as time passes, and never rises by less of it', () => {
    const seconds = fc.bigInt({ min: -DAY, max: 4_000n * DAY })
    fc.assert(
      fc.property(anySteps, seconds, seconds, (policy, a, b) => {
        const [less, more] = a < b ? [a, b] : [b, a]
        expect(standingAfter(policy, less)).toBeLessThanOrEqual(standingAfter(policy, more))
      }),
    )
  })
})

describe('on a real chain', () => {
  const REAL = 8_453
  const executing = parsePolicy(policyFile)

  it('a policy without steps is held to asking; on a development chain it is not', () => {
    expect(policyOn(executing, REAL)).toMatchObject({
      ...executing,
      mode: 'propose',
      version: expect.anything(),
    })
    expect(policyOn(executing, REAL).version).not.toBe(executing.version)
    for (const chain of developmentChains) expect(policyOn(executing, chain)).toBe(executing)
  })

  it.each(['observe', 'propose'] as const)('one that only may %s stays as it is', (mode) => {
    const policy = parsePolicy({ ...policyFile, mode })
    expect(policyOn(policy, REAL)).toBe(policy)
    expect(stepsOn(policy, REAL)).toEqual([{ policy, after: 0n }])
  })

  it('one with steps has those, and what each of them takes', () => {
    const policy = graduating()
    expect(policyOn(policy, REAL)).toBe(policy)
    expect(stepsOn(policy, REAL)).toEqual(
      graduatedPolicies(policy).map((step, index) => ({
        policy: step,
        after: [0n, 7n, 30n].map((days) => days * SECONDS_PER_DAY)[index],
      })),
    )
  })

  it('the whole policy of one without steps is the protector’s alone', () => {
    expect(stepsOn(executing, REAL)).toEqual([
      { policy: policyOn(executing, REAL), after: 0n },
      { policy: executing, after: 'never' },
    ])
    expect(stepsOn(executing, 31_337)).toEqual([{ policy: executing, after: 0n }])
  })
})

it('takes the steps off a policy, under a version of its own', () => {
  const policy = graduating()
  const whole = withoutSteps(policy)
  expect(whole).toMatchObject({ mode: 'execute', spend: policy.spend, graduation: 'none' })
  expect(whole.version).toBe(parsePolicy(policyFile).version)
  expect(withoutSteps(whole)).toBe(whole)
})
