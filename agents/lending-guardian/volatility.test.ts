import fc from 'fast-check'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { describe, expect, it } from 'vitest'
import { estimateReturns } from './volatility.ts'

const relative = (actual: number, expected: number) => Math.abs(actual / expected - 1)

function normals(seed: number): () => number {
  const generator = xoroshiro128plus(seed)
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)))
    return radius * Math.cos(2 * Math.PI * uniformFloat64(generator))
  }
}

describe('estimateReturns', () => {
  it('follows the recursion of RiskMetrics', () => {
    // σ²(t) = λ σ²(t-1) + (1-λ) r²(t) from a σ² that has been there for ever is what many equal returns end in.
    const returns = [...Array<number>(2_000).fill(0.01), 0.03, -0.02]
    let variance = 0.01 ** 2
    for (const value of [0.03, -0.02]) variance = 0.94 * variance + 0.06 * value ** 2
    expect(relative(estimateReturns(returns, { prior: 0 }).volatility, Math.sqrt(variance))).toBeLessThan(
      1e-12,
    )
  })

  it('is the prior where nothing was seen, and leaves it as returns come', () => {
    expect(estimateReturns([], { prior: 0.002 })).toEqual({ volatility: 0.002, mean: 0, meanError: 0.002 })
    expect(estimateReturns(Array<number>(64).fill(0), { prior: 0.002 }).volatility).toBeLessThan(0.0001)
  })

  it('scales with the returns and does not mind their signs', () => {
    const returns = fc.array(fc.double({ min: -0.5, max: 0.5, noNaN: true }), { minLength: 1, maxLength: 64 })
    fc.assert(
      fc.property(returns, fc.double({ min: 0.1, max: 10, noNaN: true }), (values, scale) => {
        const base = estimateReturns(values, { prior: 0.01 })
        const scaled = estimateReturns(
          values.map((value) => value * scale),
          { prior: 0.01 * scale },
        )
        const mirrored = estimateReturns(
          values.map((value) => -value),
          { prior: 0.01 },
        )
        expect(relative(scaled.volatility, base.volatility * scale)).toBeLessThan(1e-12)
        expect(mirrored.volatility).toBe(base.volatility)
        expect(mirrored.mean).toBeCloseTo(-base.mean, 15)
        expect(Math.abs(base.mean)).toBeLessThanOrEqual(base.volatility * (1 + 1e-12))
      }),
    )
  })

  it('finds the volatility and mean of simulated returns, within its own error', () => {
    const normal = normals(7)
    let inside = 0
    const trials = 2_000
    for (let trial = 0; trial < trials; trial++) {
      const returns = Array.from({ length: 200 }, () => 0.004 * normal())
      const { mean, meanError, volatility } = estimateReturns(returns, { prior: 0.004 })
      if (Math.abs(mean) < meanError) inside++
      expect(Math.abs(volatility / 0.004 - 1)).toBeLessThan(0.6)
    }
    // One standard error holds 68.3 % of the time; 2,000 trials tell that to ±3 % at nearly three sigmas.
    expect(inside / trials).toBeGreaterThan(0.65)
    expect(inside / trials).toBeLessThan(0.715)
  })

  it('refuses what is no return', () => {
    expect(() => estimateReturns([Number.NaN], { prior: 0 })).toThrow('finite')
    expect(() => estimateReturns([], { prior: -1 })).toThrow('negative')
    expect(() => estimateReturns([], { prior: 1, lambda: 1 })).toThrow('lambda')
  })
})
