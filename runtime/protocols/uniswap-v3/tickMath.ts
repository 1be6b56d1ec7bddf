import { InvariantError } from '../../core/errors.ts'
import { MAX_UINT256 } from '../../core/units.ts'

// Uniswap v3-core 1.0.1, libraries/TickMath.sol: the price of tick i is 1.0001^i (token1 per token0), and prices
// are kept as square roots with 96 fractional bits.

export const MIN_TICK = -887_272
export const MAX_TICK = 887_272
/** The price at {@link MIN_TICK}. */
export const MIN_SQRT_RATIO = 4_295_128_739n
/** The price at {@link MAX_TICK}; a pool stays under it. */
export const MAX_SQRT_RATIO = 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342n

/** sqrt(1.0001^-(2^i)) with 128 fractional bits, for each bit i of a tick. */
const FACTORS = [
  0xfffcb933bd6fad37aa2d162d1a594001n,
  0xfff97272373d413259a46990580e213an,
  0xfff2e50f5f656932ef12357cf3c7fdccn,
  0xffe5caca7e10e4e61c3624eaa0941cd0n,
  0xffcb9843d60f6159c9db58835c926644n,
  0xff973b41fa98c081472e6896dfb254c0n,
  0xff2ea16466c96a3843ec78b326b52861n,
  0xfe5dee046a99a2a811c461f1969c3053n,
  0xfcbe86c7900a88aedcffc83b479aa3a4n,
  0xf987a7253ac413176f2b074cf7815e54n,
  0xf3392b0822b70005940c7a398e4b70f3n,
  0xe7159475a2c29b7443b29c7fa6e889d9n,
  0xd097f3bdfd2022b8845ad8f792aa5825n,
  0xa9f746462d870fdf8a65dc1f90e061e5n,
  0x70d869a156d2a1b890bb3df62baf32f7n,
  0x31be135f97d08fd981231505542fcfa6n,
  0x9aa508b5b7a84e1c677de54f3e99bc9n,
  0x5d6af8dedb81196699c329225ee604n,
  0x2216e584f5fa1ea926041bedfe98n,
  0x48a170391f7dc42444e8fa2n,
]

/**
 * The square root of the price at a tick, 96 fractional bits. `TickMath.getSqrtRatioAtTick`.
 *
 * @throws {InvariantError} outside of [{@link MIN_TICK}, {@link MAX_TICK}].
 * @example getSqrtRatioAtTick(0) // 2n ** 96n
 */
export function getSqrtRatioAtTick(tick: number): bigint {
  if (!Number.isInteger(tick) || tick < MIN_TICK || tick > MAX_TICK)
    throw new InvariantError('A tick must be an integer within [MIN_TICK, MAX_TICK].', { tick })
  const magnitude = Math.abs(tick)
  let ratio = 1n << 128n
  for (const [bit, factor] of FACTORS.entries()) if (magnitude & (1 << bit)) ratio = (ratio * factor) >> 128n
  if (tick > 0) ratio = MAX_UINT256 / ratio
  // Rounded up from 128 to 96 fractional bits, so that getTickAtSqrtRatio of it gives the tick again.
  return (ratio + (1n << 32n) - 1n) >> 32n
}

/**
 * The greatest tick whose price is at most the given one. `TickMath.getTickAtSqrtRatio`.
 *
 * The contract takes a logarithm to narrow the answer down to two ticks and then compares; a bisection over the
 * ticks gives the same answer by definition.
 *
 * @throws {InvariantError} outside of [{@link MIN_SQRT_RATIO}, {@link MAX_SQRT_RATIO}).
 * @example getTickAtSqrtRatio(2n ** 96n) // 0
 */
export function getTickAtSqrtRatio(sqrtPriceX96: bigint): number {
  if (sqrtPriceX96 < MIN_SQRT_RATIO || sqrtPriceX96 >= MAX_SQRT_RATIO)
    throw new InvariantError('A price must lie in [MIN_SQRT_RATIO, MAX_SQRT_RATIO).', { sqrtPriceX96 })
  let low = MIN_TICK
  let high = MAX_TICK
  // A float narrows it to a few ticks: doubles are good for 1e-12 here, a tick is 5e-5 wide. The exact
  // comparison below decides, and widens if the guess was off.
  const guess = Math.floor((2 * Math.log(Number(sqrtPriceX96) / 2 ** 96)) / Math.log(1.0001))
  const below = Math.max(guess - 2, MIN_TICK)
  const above = Math.min(guess + 3, MAX_TICK)
  if (getSqrtRatioAtTick(below) <= sqrtPriceX96) low = below
  if (getSqrtRatioAtTick(above) > sqrtPriceX96) high = above
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (getSqrtRatioAtTick(middle) <= sqrtPriceX96) low = middle
    else high = middle
  }
  return low
}
