import { type Address, isAddressEqual } from 'viem'
import { InvariantError, RialtoError } from '../../core/errors.ts'
import type { PoolState } from '../../core/snapshot.ts'
import { type TokenAmount, tokenAmount } from '../../core/units.ts'
import { computeSwapStep } from './swapMath.ts'
import { nextTickWithinWord } from './tickBitmap.ts'
import {
  getSqrtRatioAtTick,
  getTickAtSqrtRatio,
  MAX_SQRT_RATIO,
  MAX_TICK,
  MIN_SQRT_RATIO,
  MIN_TICK,
} from './tickMath.ts'

/** A swap would leave the ticks that were read, so its price is not known. */
export class QuoteOutOfRangeError extends RialtoError {
  override readonly name = 'QuoteOutOfRangeError'
  constructor(pool: PoolState, tick: number) {
    super('QUOTE_OUT_OF_RANGE', `A swap in pool ${pool.address} leaves the ticks that were read.`, {
      fix: 'Swap less, or read a wider window.',
      details: { pool: pool.address, tick, tickRange: pool.tickRange },
    })
  }
}

/** A pool cannot give the amount that is asked of it, at any price. */
export class InsufficientLiquidityError extends RialtoError {
  override readonly name = 'InsufficientLiquidityError'
  constructor(pool: PoolState, asked: bigint, available: bigint) {
    super('INSUFFICIENT_LIQUIDITY', `Pool ${pool.address} does not hold the amount asked of it.`, {
      fix: 'Swap less, or in another pool.',
      details: { pool: pool.address, asked, available },
    })
  }
}

/** What a swap costs and gives, and where it leaves the pool. Amounts in the tokens' smallest units. */
export type Quote = {
  /** Fee included. Less than what was offered if the price limit stopped the swap. */
  readonly amountIn: TokenAmount
  /** Less than what was asked for if the price limit stopped the swap. */
  readonly amountOut: TokenAmount
  /** The part of `amountIn` that is the liquidity providers' and the protocol's. */
  readonly fee: TokenAmount
  readonly sqrtPriceAfter: bigint
  readonly tickAfter: number
  readonly liquidityAfter: bigint
  /** Initialised ticks crossed, in the order of crossing. */
  readonly crossed: readonly number[]
}

/** Whether `tokenIn` is the pool's token0. @throws {InvariantError} when it is neither of its tokens. */
export function isZeroForOne(
  pool: Pick<PoolState, 'token0' | 'token1' | 'address'>,
  tokenIn: Address,
): boolean {
  if (isAddressEqual(tokenIn, pool.token0)) return true
  if (isAddressEqual(tokenIn, pool.token1)) return false
  throw new InvariantError('The pool does not hold that token.', { pool: pool.address, token: tokenIn })
}

/** The loop of `UniswapV3Pool.swap`. */
function swap(pool: PoolState, zeroForOne: boolean, amount: bigint, exactIn: boolean, limit: bigint): Quote {
  const isLimitValid = zeroForOne
    ? limit < pool.sqrtPriceX96 && limit > MIN_SQRT_RATIO
    : limit > pool.sqrtPriceX96 && limit < MAX_SQRT_RATIO
  if (amount <= 0n || !isLimitValid)
    throw new InvariantError('A swap takes a positive amount and a price limit in its direction.', {
      amount,
      limit,
    })
  const [lower, upper] = pool.tickRange
  const initialized = pool.ticks.map(({ tick }) => tick)
  const net = new Map(pool.ticks.map(({ tick, liquidityNet }) => [tick, liquidityNet]))
  const crossed: number[] = []
  let { sqrtPriceX96: price, tick, liquidity } = pool
  let remaining = amount
  let paid = 0n
  let given = 0n
  let fees = 0n
  while (remaining > 0n && price !== limit) {
    const next = nextTickWithinWord(initialized, tick, pool.tickSpacing, zeroForOne)
    if (next.tick < lower || next.tick > upper) throw new QuoteOutOfRangeError(pool, next.tick)
    const nextTick = Math.min(Math.max(next.tick, MIN_TICK), MAX_TICK)
    const nextPrice = getSqrtRatioAtTick(nextTick)
    const isPastLimit = zeroForOne ? nextPrice < limit : nextPrice > limit
    const target = isPastLimit ? limit : nextPrice
    const start = price
    const step = computeSwapStep(price, target, liquidity, remaining, exactIn, BigInt(pool.fee))
    price = step.sqrtPriceX96
    paid += step.amountIn + step.feeAmount
    given += step.amountOut
    fees += step.feeAmount
    remaining -= exactIn ? step.amountIn + step.feeAmount : step.amountOut
    if (price === nextPrice) {
      if (next.isInitialized) {
        const change = net.get(nextTick) ?? 0n
        liquidity += zeroForOne ? -change : change
        crossed.push(nextTick)
      }
      tick = zeroForOne ? nextTick - 1 : nextTick
    } else if (price !== start) tick = getTickAtSqrtRatio(price)
  }
  return {
    amountIn: tokenAmount(paid),
    amountOut: tokenAmount(given),
    fee: tokenAmount(fees),
    sqrtPriceAfter: price,
    tickAfter: tick,
    liquidityAfter: liquidity,
    crossed,
  }
}

const lastPrice = (zeroForOne: boolean): bigint => (zeroForOne ? MIN_SQRT_RATIO + 1n : MAX_SQRT_RATIO - 1n)

/**
 * What a swap of exactly `amountIn` gives, to the wei. `QuoterV2.quoteExactInputSingle`.
 *
 * @param tokenIn what is sold
 * @param sqrtPriceLimitX96 where to stop; the swap is partial then
 * @throws {QuoteOutOfRangeError} when the swap leaves the ticks that were read.
 * @example quoteExactIn(pool, weth, tokenAmount(10n ** 18n)).amountOut // 1_998_000_000n, in USDC
 */
export function quoteExactIn(
  pool: PoolState,
  tokenIn: Address,
  amountIn: TokenAmount,
  sqrtPriceLimitX96?: bigint,
): Quote {
  const zeroForOne = isZeroForOne(pool, tokenIn)
  return swap(pool, zeroForOne, amountIn, true, sqrtPriceLimitX96 ?? lastPrice(zeroForOne))
}

/**
 * What it takes to be given exactly `amountOut`, to the wei. `QuoterV2.quoteExactOutputSingle`.
 *
 * @param tokenIn what is sold
 * @param sqrtPriceLimitX96 where to stop; the swap is partial then
 * @throws {QuoteOutOfRangeError} when the swap leaves the ticks that were read.
 * @throws {InsufficientLiquidityError} when, without a limit, the pool cannot give that much at any price.
 */
export function quoteExactOut(
  pool: PoolState,
  tokenIn: Address,
  amountOut: TokenAmount,
  sqrtPriceLimitX96?: bigint,
): Quote {
  const zeroForOne = isZeroForOne(pool, tokenIn)
  const quote = swap(pool, zeroForOne, amountOut, false, sqrtPriceLimitX96 ?? lastPrice(zeroForOne))
  if (sqrtPriceLimitX96 === undefined && quote.amountOut < amountOut)
    throw new InsufficientLiquidityError(pool, amountOut, quote.amountOut)
  return quote
}

/** The pool as a quoted swap leaves it: for quoting one swap after another. */
export const poolAfter = (pool: PoolState, quote: Quote): PoolState => ({
  ...pool,
  sqrtPriceX96: quote.sqrtPriceAfter,
  tick: quote.tickAfter,
  liquidity: quote.liquidityAfter,
})
