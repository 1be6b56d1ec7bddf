import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../runtime/core/errors.ts'
import { isToken0, sqrtPriceX96Of, squareRoot, usd8Of } from './price.ts'

describe('squareRoot', () => {
  it('is the largest whose square is not above', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 400n }), (value) => {
        const root = squareRoot(value)
        expect(root * root <= value && (root + 1n) * (root + 1n) > value).toBe(true)
      }),
    )
    expect(() => squareRoot(-1n)).toThrow(InvariantError)
  })
})

describe('sqrtPriceX96Of', () => {
  it('is that of a known pool state', () => {
    // 2,000 dollars: sqrt(2000 * 10^6 / 10^18) * 2^96, and its inverse.
    expect(sqrtPriceX96Of(200_000_000_000n, true)).toBe(3_543_191_142_285_914_205_922_034n)
    expect(sqrtPriceX96Of(200_000_000_000n, false)).toBe(1_771_595_571_142_957_102_961_017_161_607_260n)
  })

  it('comes back as the same price, to a billionth', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 10n ** 6n, max: 10n ** 14n }), fc.boolean(), (price, wethIsToken0) => {
        const back = usd8Of(sqrtPriceX96Of(price, wethIsToken0), wethIsToken0)
        const apart = back > price ? back - price : price - back
        expect(apart <= price / 10n ** 9n + 1n).toBe(true)
      }),
    )
  })

  it('refuses a price of nothing', () => {
    expect(() => sqrtPriceX96Of(0n, true)).toThrow(InvariantError)
  })
})

it('isToken0 goes by the number, not by the letters', () => {
  expect(
    isToken0('0xAA00000000000000000000000000000000000000', '0xab00000000000000000000000000000000000000'),
  ).toBe(true)
  expect(
    isToken0('0xab00000000000000000000000000000000000000', '0xAA00000000000000000000000000000000000000'),
  ).toBe(false)
})
