import { describe, expect, it } from 'vitest'
import { usd, wad } from '../../runtime/core/units.ts'
import type { FeasibleCandidate, Step } from './candidates.ts'
import { chooseByRule } from './fallback.ts'
import type { Scene } from './scene.ts'
import { thresholds } from './testSnapshot.ts'

const hf = (value: number) => wad(BigInt(Math.round(value * 1_000)) * 10n ** 15n)

const candidate = (
  id: string,
  kind: FeasibleCandidate['kind'],
  ...steps: [size: number, healthFactor: number, cost: number][]
): FeasibleCandidate => {
  const [first, ...others] = steps.map(
    ([size, healthFactor, cost]): Step => ({
      size,
      action: null,
      account: { healthFactor: hf(healthFactor) } as Step['account'],
      cost: usd(BigInt(cost)),
    }),
  )
  if (first === undefined) throw new RangeError('no step')
  return { id, kind, steps: [first, ...others] }
}
const wait = candidate('c9', 'wait', [0, 1.1, 0])
const choose = (healthFactor: number, ...candidates: FeasibleCandidate[]) => {
  const pick = chooseByRule({ healthFactor: hf(healthFactor) } as Scene, [...candidates, wait], thresholds)
  return [pick.candidate.id, pick.step.size]
}

describe('chooseByRule', () => {
  it('takes the cheapest candidate that reaches the target, at the smallest size that does', () => {
    const dear = candidate('c1', 'deleverage', [10, 1.2, 5], [20, 1.3, 9], [30, 1.5, 12])
    const cheap = candidate('c2', 'deleverage', [40, 1.29, 5], [50, 1.31, 8], [60, 1.4, 8])
    const short = candidate('c3', 'repay', [100, 1.299, 1])
    expect(choose(1.1, dear, cheap, short)).toEqual(['c2', 50])
  })

  it('goes as high as it can where nothing reaches the target', () => {
    const low = candidate('c1', 'repay', [50, 1.11, 1], [100, 1.13, 1])
    const high = candidate('c2', 'deleverage', [50, 1.18, 5], [100, 1.17, 9])
    expect(choose(1.1, low, high)).toEqual(['c2', 50])
  })

  it('breaks ties by cost, then by order', () => {
    const a = candidate('c1', 'repay', [10, 1.2, 7])
    const b = candidate('c2', 'repay', [10, 1.2, 6])
    expect(choose(1.1, a, b)).toEqual(['c2', 10])
    expect(choose(1.1, a, { ...a, id: 'c2' })).toEqual(['c1', 10])
    const reaching = candidate('c3', 'deleverage', [10, 1.3, 6])
    expect(choose(1.1, reaching, { ...reaching, id: 'c4' })).toEqual(['c3', 10])
  })

  it('waits at or above the trigger, and where nothing else is feasible', () => {
    const able = candidate('c1', 'repay', [10, 1.4, 1])
    expect(choose(1.15, able)).toEqual(['c9', 0])
    expect(choose(1.149, able)).toEqual(['c1', 10])
    expect(choose(1.01)).toEqual(['c9', 0])
  })
})
