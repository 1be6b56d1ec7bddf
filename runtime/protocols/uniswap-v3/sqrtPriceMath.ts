import { InvariantError } from '../../core/errors.ts'
import { mulDiv } from '../../core/units.ts'

// Uniswap v3-core 1.0.1, libraries/SqrtPriceMath.sol. Prices are square roots with 96 fractional bits.

const Q96 = 1n << 96n
const MAX_UINT160 = (1n << 160n) - 1n

const divUp = (a: bigint, b: bigint): bigint => (a + b - 1n) / b

function uint160(value: bigint): bigint {
  if (value < 0n || value > MAX_UINT160) throw new InvariantError('The price leaves 160 bits.', { value })
  return value
}

/**
 * How much token0 lies between two prices. `SqrtPriceMath.getAmount0Delta`.
 *
 * @param rounding `up` for what is paid in, `down` for what is paid out
 */
export function getAmount0Delta(a: bigint, b: bigint, liquidity: bigint, rounding: 'up' | 'down'): bigint {
  const [low, high] = a < b ? [a, b] : [b, a]
  // Two roundings, as the contract makes them.
  const product = mulDiv(liquidity << 96n, high - low, high, rounding)
  return rounding === 'up' ? divUp(product, low) : product / low
}

/** How much token1 lies between two prices. `SqrtPriceMath.getAmount1Delta`. */
export function getAmount1Delta(a: bigint, b: bigint, liquidity: bigint, rounding: 'up' | 'down'): bigint {
  return mulDiv(liquidity, a < b ? b - a : a - b, Q96, rounding)
}

/**
 * The price after `amount` of token0 was added or taken, rounded up.
 * `SqrtPriceMath.getNextSqrtPriceFromAmount0RoundingUp`.
 */
function nextFromAmount0(price: bigint, liquidity: bigint, amount: bigint, add: boolean): bigint {
  if (amount === 0n) return price
  const numerator = liquidity << 96n
  const product = amount * price
  if (!add) {
    if (product >= numerator || product >= 1n << 256n)
      throw new InvariantError('The pool does not hold that much token0.', { amount })
    return uint160(mulDiv(numerator, price, numerator - product, 'up'))
  }
  // The contract falls back to a coarser formula when the exact one overflows 256 bits.
  const overflows = product >= 1n << 256n || numerator + product >= 1n << 256n
  return overflows
    ? divUp(numerator, numerator / price + amount)
    : mulDiv(numerator, price, numerator + product, 'up')
}

/**
 * The price after `amount` of token1 was added or taken, rounded down.
 * `SqrtPriceMath.getNextSqrtPriceFromAmount1RoundingDown`.
 */
function nextFromAmount1(price: bigint, liquidity: bigint, amount: bigint, add: boolean): bigint {
  if (add) return uint160(price + (amount << 96n) / liquidity)
  const quotient = divUp(amount << 96n, liquidity)
  if (price <= quotient) throw new InvariantError('The pool does not hold that much token1.', { amount })
  return price - quotient
}

/** The price after `amountIn` came in. `SqrtPriceMath.getNextSqrtPriceFromInput`. */
export const getNextSqrtPriceFromInput = (
  price: bigint,
  liquidity: bigint,
  amountIn: bigint,
  zeroForOne: boolean,
): bigint =>
  zeroForOne
    ? nextFromAmount0(price, liquidity, amountIn, true)
    : nextFromAmount1(price, liquidity, amountIn, true)

/** The price after `amountOut` went out. `SqrtPriceMath.getNextSqrtPriceFromOutput`. */
export const getNextSqrtPriceFromOutput = (
  price: bigint,
  liquidity: bigint,
  amountOut: bigint,
  zeroForOne: boolean,
): bigint =>
  zeroForOne
    ? nextFromAmount1(price, liquidity, amountOut, false)
    : nextFromAmount0(price, liquidity, amountOut, false)
