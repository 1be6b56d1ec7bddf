import { describe, expect, it } from 'vitest'
import { usd } from '../../../runtime/core/units.ts'
import { baseFeeFollowing, CALM_BASE_FEE, PANIC_BASE_FEE } from './baseFee.ts'

const feesAlong = (prices: readonly number[], blocksPerUnit = 1): bigint[] => {
  const fee = baseFeeFollowing(blocksPerUnit)
  return prices.map((price) => fee(usd(BigInt(Math.round(price * 1e8)))))
}

/** Prices that change by that fraction every block. */
const steady = (change: number, blocks: number): number[] =>
  Array.from({ length: blocks }).reduce<number[]>(
    (prices) => [...prices, (prices.at(-1) ?? 0) * (1 + change)],
    [2_000],
  )

describe('the base fee', () => {
  it('is 15 gwei while prices stand or rise', () => {
    expect(new Set(feesAlong(steady(0, 50)))).toEqual(new Set([CALM_BASE_FEE]))
    expect(new Set(feesAlong(steady(0.05, 50)))).toEqual(new Set([CALM_BASE_FEE]))
  })

  it('rises by an eighth a block in a crash, to 150 gwei and no further', () => {
    const fees = feesAlong(steady(-0.05, 40))
    expect(fees.slice(0, 4)).toEqual([15_000_000_000n, 16_875_000_000n, 18_984_375_000n, 21_357_421_875n])
    expect(fees.at(-1)).toBe(PANIC_BASE_FEE)
  })

  it('settles at calm + 135 gwei * (speed / 1.7 %)^2 in a steady fall', () => {
    expect(Number(feesAlong(steady(-0.0085, 80)).at(-1)) / 1e9).toBeCloseTo(15 + 135 / 4, 2)
  })

  it('settles at the same level when the same fall is drawn over four times the blocks', () => {
    expect(Number(feesAlong(steady(-0.0085 / 4, 320), 4).at(-1)) / 1e9).toBeCloseTo(15 + 135 / 4, 2)
  })

  it('comes back to calm once the fall is over', () => {
    expect(feesAlong([...steady(-0.03, 20), ...Array<number>(60).fill(1_000)]).at(-1)).toBe(CALM_BASE_FEE)
  })
})
