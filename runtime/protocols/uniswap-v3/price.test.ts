import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../core/errors.ts'
import { tokenAmount, usd } from '../../core/units.ts'
import { OWNER, sampleSnapshot, USDC, WETH } from '../sampleSnapshot.fixture.ts'
import { priceImpact, spotPriceUsd } from './price.ts'
import { InsufficientLiquidityError, quoteExactIn, quoteExactOut } from './quote.ts'

const [pool] = sampleSnapshot(0n, 10n ** 18n).pools
if (pool === undefined) throw new TypeError('the sample has a pool')
const DOLLAR = usd(10n ** 8n)

describe('spotPriceUsd', () => {
  it('prices either token by the other', () => {
    const wethPrice = spotPriceUsd(pool, WETH, 18, DOLLAR, 6)
    // 1.0001^-200311 with 12 decimals between the tokens.
    expect(Number(wethPrice) / 1e8).toBeCloseTo(1.0001 ** -200_311 * 1e12, 4)
    expect(Number(spotPriceUsd(pool, USDC, 6, wethPrice, 18)) / 1e8).toBeCloseTo(1, 7)
  })

  it('refuses a token that the pool does not hold', () => {
    expect(() => spotPriceUsd(pool, OWNER, 18, DOLLAR, 6)).toThrow(InvariantError)
  })
})

describe('priceImpact', () => {
  it('is at least the fee, and grows with the amount', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 1_000 }), (a, b) => {
        const impact = (n: number) => {
          const quote = quoteExactIn(pool, WETH, tokenAmount(BigInt(n) * 10n ** 18n))
          return priceImpact(pool, WETH, quote)
        }
        expect(impact(Math.min(a, b))).toBeGreaterThanOrEqual(5n)
        expect(impact(Math.max(a, b))).toBeGreaterThanOrEqual(impact(Math.min(a, b)))
      }),
    )
  })

  it('is about the part of the reserve that is sold, and the fee', () => {
    // 1 % of the 22,400 WETH in the pool: x / (X + x) of the output is lost, 0.99 %, and 0.05 %.
    const quote = quoteExactIn(pool, WETH, tokenAmount(224n * 10n ** 18n))
    expect(Number(priceImpact(pool, WETH, quote))).toBeGreaterThan(100)
    expect(Number(priceImpact(pool, WETH, quote))).toBeLessThan(110)
  })
})

describe('quotes', () => {
  it('refuse what no price can buy', () => {
    expect(() => quoteExactOut(pool, WETH, tokenAmount(10n ** 18n))).toThrow(InsufficientLiquidityError)
  })

  it('give at least as much for as much as exact output asks', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1_000n, max: 10n ** 12n }), (wanted) => {
        const bought = quoteExactOut(pool, WETH, tokenAmount(wanted))
        expect(bought.amountOut).toBe(wanted)
        expect(quoteExactIn(pool, WETH, bought.amountIn).amountOut).toBeGreaterThanOrEqual(wanted)
      }),
    )
  })
})
