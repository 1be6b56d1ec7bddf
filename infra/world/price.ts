import type { Address } from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'

/**
 * The square root price of the WETH/USDC pool, as Uniswap v3 keeps it (Q64.96, token1 per token0 in smallest
 * units), rounded down.
 *
 * @param usd8 dollars per WETH, 8 decimals
 * @param wethIsToken0 whether WETH has the lower address
 * @throws {InvariantError} when the price is not positive.
 */
export function sqrtPriceX96Of(usd8: bigint, wethIsToken0: boolean): bigint {
  if (usd8 <= 0n) throw new InvariantError('A price is positive.', { usd8 })
  // usd8 / 10^8 USDC of 10^6 units each, for 10^18 units of WETH
  const usdcUnits = usd8
  const wethUnits = 10n ** 20n
  return wethIsToken0
    ? squareRoot((usdcUnits << 192n) / wethUnits)
    : squareRoot((wethUnits << 192n) / usdcUnits)
}

/**
 * Dollars per WETH, 8 decimals, of a square root price; the inverse of {@link sqrtPriceX96Of}, rounded down.
 */
export function usd8Of(sqrtPriceX96: bigint, wethIsToken0: boolean): bigint {
  const square = sqrtPriceX96 * sqrtPriceX96
  return wethIsToken0 ? (square * 10n ** 20n) >> 192n : ((10n ** 20n) << 192n) / square
}

/** Whether a token is a pool's token0, that is, has the lower address of the two. */
export const isToken0 = (token: Address, other: Address): boolean => BigInt(token) < BigInt(other)

/** The largest integer whose square is not above `value`. Newton's method, from above. */
export function squareRoot(value: bigint): bigint {
  if (value < 0n) throw new InvariantError('No square root of a negative number.', { value })
  if (value < 2n) return value
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}
