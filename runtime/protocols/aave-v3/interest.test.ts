import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../core/errors.ts'
import { RAY, ray } from '../../core/units.ts'
import {
  compoundedInterest,
  linearInterest,
  normalizedDebt,
  normalizedIncome,
  SECONDS_PER_YEAR,
} from './interest.ts'
import { percentDiv, percentMul, rayDiv, rayMul, wadDiv } from './wadRayMath.ts'

const anyRate = fc.bigInt({ min: 0n, max: RAY }).map(ray)
const anySeconds = fc.bigInt({ min: 0n, max: SECONDS_PER_YEAR })
const TEN_PERCENT = ray(RAY / 10n)

describe('interest', () => {
  it('is the rate after a year, if it is linear', () => {
    expect(linearInterest(TEN_PERCENT, SECONDS_PER_YEAR)).toBe((RAY * 11n) / 10n)
    expect(linearInterest(TEN_PERCENT, 0n)).toBe(RAY)
  })

  it('is 1 + x + x^2 / 2 + x^3 / 6 after a year, if it compounds', () => {
    const x = 0.1
    const year = Number(compoundedInterest(TEN_PERCENT, SECONDS_PER_YEAR)) / 1e27
    // The contract truncates the cube so early that a few millionths are lost.
    expect(year).toBeCloseTo(1 + x + x ** 2 / 2 + x ** 3 / 6, 4)
    expect(compoundedInterest(TEN_PERCENT, 0n)).toBe(RAY)
    expect(compoundedInterest(TEN_PERCENT, 1n)).toBe(linearInterest(TEN_PERCENT, 1n))
  })

  it('compounded is never less than linear, and never more than exponential', () => {
    fc.assert(
      fc.property(anyRate, anySeconds, (rate, seconds) => {
        const compounded = compoundedInterest(rate, seconds)
        expect(compounded).toBeGreaterThanOrEqual(linearInterest(rate, seconds))
        const exponent = ((Number(rate) / 1e27) * Number(seconds)) / Number(SECONDS_PER_YEAR)
        expect(Number(compounded) / 1e27).toBeLessThanOrEqual(Math.exp(exponent) * (1 + 1e-12))
      }),
    )
  })

  it('does not run backwards', () => {
    const reserve = {
      liquidityIndex: RAY,
      liquidityRate: TEN_PERCENT,
      variableBorrowIndex: RAY,
      variableBorrowRate: TEN_PERCENT,
      lastUpdateTimestamp: 100n,
    }
    expect(normalizedIncome(reserve, 100n)).toBe(RAY)
    expect(() => normalizedIncome(reserve, 99n)).toThrow(InvariantError)
    expect(() => normalizedDebt(reserve, 99n)).toThrow(InvariantError)
  })
})

describe("Aave's roundings", () => {
  it('go half up', () => {
    expect([rayMul(1n, RAY / 2n), rayMul(1n, RAY / 2n - 1n)]).toEqual([1n, 0n])
    expect([rayDiv(1n, 2n * RAY), rayDiv(1n, 2n * RAY + 2n)]).toEqual([1n, 0n])
    expect(wadDiv(2n, 3n)).toBe(666_666_666_666_666_667n)
    expect([percentMul(1n, 5_000n), percentMul(1n, 4_999n)]).toEqual([1n, 0n])
    expect([percentDiv(1n, 20_000n), percentDiv(1n, 20_001n)]).toEqual([1n, 0n])
  })
})
