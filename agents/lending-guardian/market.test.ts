import { describe, expect, it } from 'vitest'
import type { PositionState, Snapshot } from '../../runtime/core/snapshot.ts'
import { usd } from '../../runtime/core/units.ts'
import { findPriceProblem, poolDeviationBps, recentReturnsBps } from './market.ts'
import { assets, type SnapshotOptions, snapshotOf } from './testSnapshot.ts'

const dollars = (value: number) => usd(BigInt(Math.round(value * 1e8)))
const positionIn = (snapshot: Snapshot): PositionState => {
  const [position] = snapshot.positions
  if (position === undefined) throw new RangeError('no position')
  return position
}

describe('recentReturnsBps', () => {
  const returnsOf = (answers: number[], options: SnapshotOptions = {}, blockSeconds = 12) => {
    const snapshot = snapshotOf({ answers: answers.map((answer) => dollars(answer)), ...options })
    return recentReturnsBps(snapshot, positionIn(snapshot), blockSeconds)
  }

  it('is what prices did to the health factor, oldest first, in whole basis points', () => {
    expect(returnsOf([1_600, 1_616, 1_600, 1_600.04])).toEqual([100, -99, 0])
  })

  it('does not depend on how large the position is', () => {
    const answers = [1_600, 1_500, 1_533, 1_521]
    expect(returnsOf(answers, { supplied: 123n * 10n ** 15n, owed: 77n * 10n ** 6n })).toEqual(
      returnsOf(answers),
    )
  })

  it('takes a single absurd answer for no return at all, and a crash for what it is', () => {
    expect(returnsOf([1_600, 640, 1_600])).toEqual([0, 0])
    expect(returnsOf([1_600, 1_600, 640, 640])).toEqual([0, -6_000, 0])
    // As it leaves the window, a spike has no answer before it any more.
    expect(returnsOf([640, 1_600, 1_600, 1_600])).toEqual([0, 0])
    expect(returnsOf([1_600, 1_200, 900])).toEqual([-2_500, -2_500])
  })

  it('takes the last answer before each block where answers are rare or often', () => {
    // Sampled every 24 seconds, every other answer is seen.
    expect(returnsOf([1_600, 1_700, 1_616, 1_700, 1_600], {}, 24)).toEqual([100, -99])
    // Sampled every 6 seconds, each is seen twice.
    expect(returnsOf([1_600, 1_616, 1_600], {}, 6)).toEqual([0, 100, 0, -99])
  })

  it('holds at most 64, the latest', () => {
    const returns = returnsOf(Array.from({ length: 100 }, (_, index) => 1_000 + index))
    expect(returns).toHaveLength(64)
    expect(returns.at(-1)).toBe(Math.round(10_000 / 1_098))
  })

  it('is empty where the rounds were not read, or only one was', () => {
    const snapshot = snapshotOf()
    expect(recentReturnsBps(snapshot, positionIn(snapshot), 12)).toEqual([])
    expect(returnsOf([1_600])).toEqual([])
  })

  it('is empty without collateral, of which there is no ratio', () => {
    expect(returnsOf([1_600, 1_616], { supplied: 0n })).toEqual([])
  })
})

describe('poolDeviationBps', () => {
  const deviationAt = (pool: number) => {
    const snapshot = snapshotOf({ price: dollars(1_600), poolPrice: dollars(pool) })
    const [collateral, debt] = snapshot.reserves
    if (collateral === undefined || debt === undefined) throw new RangeError('no reserves')
    return poolDeviationBps(snapshot.pools[0], collateral, debt)
  }

  it.each([
    [1_600.01, 0],
    [1_616.1, 100],
    [1_584, -100],
    [1_583, -110],
    [1_599.2, -10],
    [800, -2_000],
    [5_000, 2_000],
  ])('a pool at %d against an oracle at 1,600 dollars: %d', (pool, expected) => {
    expect(deviationAt(pool)).toBe(expected)
    expect(Object.is(deviationAt(pool), -0)).toBe(false)
  })

  it('is null without a pool', () => {
    const [collateral, debt] = snapshotOf().reserves
    if (collateral === undefined || debt === undefined) throw new RangeError('no reserves')
    expect(poolDeviationBps(undefined, collateral, debt)).toBeNull()
  })
})

describe('findPriceProblem', () => {
  const problemOf = (snapshot: Snapshot) => findPriceProblem(snapshot, positionIn(snapshot))

  it('finds nothing where every price is in order', () => {
    expect(problemOf(snapshotOf())).toBeNull()
  })

  it.each([
    ['a stale price', { stale: true }],
    ['a price that the market contradicts', { deviating: true }],
    ['no price', { price: usd(0n) }],
  ])('finds %s', (problem, oracle) => {
    expect(problemOf(snapshotOf({ oracle }))).toEqual({ asset: assets.weth, problem })
  })

  it('takes a part without a feed or reserve for one without a price', () => {
    const snapshot = snapshotOf()
    expect(problemOf({ ...snapshot, oracles: [] })).toEqual({ asset: assets.weth, problem: 'no price' })
    expect(problemOf({ ...snapshot, oracles: snapshot.oracles.slice(0, 1) })?.asset).toBe(assets.usdc)
    expect(problemOf({ ...snapshot, reserves: [] })?.problem).toBe('no price')
  })

  it('does not mind an asset that is no part of the position', () => {
    const snapshot = snapshotOf({ owed: 0n })
    expect(problemOf({ ...snapshot, oracles: snapshot.oracles.slice(0, 1) })).toBeNull()
  })
})
