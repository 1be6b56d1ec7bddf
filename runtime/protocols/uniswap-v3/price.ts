import type { Address } from 'viem'
import type { PoolState } from '../../core/snapshot.ts'
import { BPS, type Bps, bps, mulDiv, type Usd, usd } from '../../core/units.ts'
import { isZeroForOne, type Quote } from './quote.ts'

type Priced = Pick<PoolState, 'address' | 'token0' | 'token1' | 'sqrtPriceX96'>
const Q192 = 1n << 192n

/** The spot price as a fraction: smallest units of the other token for one smallest unit of `token`. */
export function spotRatio(
  pool: Priced,
  token: Address,
): { readonly numerator: bigint; readonly denominator: bigint } {
  const squared = pool.sqrtPriceX96 * pool.sqrtPriceX96
  return isZeroForOne(pool, token)
    ? { numerator: squared, denominator: Q192 }
    : { numerator: Q192, denominator: squared }
}

/**
 * The dollar price of a whole `token` by a pool, given the dollar price of a whole other token. Rounded down.
 *
 * @param decimals of `token`
 * @param otherDecimals of the other token
 * @example spotPriceUsd(pool, weth, 18, usd(10n ** 8n), 6) // 2,000 dollars
 */
export function spotPriceUsd(
  pool: Priced,
  token: Address,
  decimals: number,
  otherPrice: Usd,
  otherDecimals: number,
): Usd {
  const { numerator, denominator } = spotRatio(pool, token)
  return usd(
    mulDiv(
      numerator * 10n ** BigInt(decimals),
      otherPrice,
      denominator * 10n ** BigInt(otherDecimals),
      'down',
    ),
  )
}

/**
 * How much less a swap gives than the spot price before it promises, the pool's fee included. Rounded up.
 *
 * @example priceImpact(pool, weth, quote) // 12n: 0.12 % of the spot value is lost
 */
export function priceImpact(pool: Priced, tokenIn: Address, quote: Quote): Bps {
  const { numerator, denominator } = spotRatio(pool, tokenIn)
  const ideal = quote.amountIn * numerator
  const actual = quote.amountOut * denominator
  return bps(actual >= ideal ? 0n : mulDiv(ideal - actual, BPS, ideal, 'up'))
}
