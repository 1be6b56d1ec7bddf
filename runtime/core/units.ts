import { formatUnits, parseUnits } from 'viem'
import { InvalidInputError, InvariantError } from './errors.ts'

declare const unit: unique symbol
type Unit<Name extends string> = bigint & { readonly [unit]: Name }

/** An amount of the chain's native coin in wei (18 decimals). */
export type Wei = Unit<'Wei'>
/** An amount of an ERC-20 in its smallest unit; the token says how many decimals. */
export type TokenAmount = Unit<'TokenAmount'>
/** A fixed-point number with 18 decimals: health factors. */
export type Wad = Unit<'Wad'>
/** A fixed-point number with 27 decimals: Aave's indices and rates. */
export type Ray = Unit<'Ray'>
/** A fraction in basis points: 10,000 is one. */
export type Bps = Unit<'Bps'>
/** US dollars with 8 decimals: the base currency of Aave's oracle and of Chainlink's USD feeds. */
export type Usd = Unit<'Usd'>

export const WAD = (10n ** 18n) as Wad
export const RAY = (10n ** 27n) as Ray
export const BPS = 10_000n as Bps
export const USD_DECIMALS = 8
export const MAX_UINT256 = 2n ** 256n - 1n

function checked<T extends bigint>(name: string, value: bigint): T {
  if (value < 0n || value > MAX_UINT256)
    throw new InvariantError(`${name} must lie in [0, 2^256 - 1].`, { value })
  return value as T
}

/** @example wei(10n ** 18n) // one ether */
export const wei = (value: bigint): Wei => checked('Wei', value)
/** @example tokenAmount(1_500_000n) // 1.5 USDC */
export const tokenAmount = (value: bigint): TokenAmount => checked('TokenAmount', value)
/** @example wad(1_250_000_000_000_000_000n) // a health factor of 1.25 */
export const wad = (value: bigint): Wad => checked('Wad', value)
/** @example ray(RAY) // an index of one */
export const ray = (value: bigint): Ray => checked('Ray', value)
/** @example bps(50n) // 0.5 % */
export const bps = (value: bigint): Bps => checked('Bps', value)
/** @example usd(200_000_000_000n) // 2,000 dollars */
export const usd = (value: bigint): Usd => checked('Usd', value)

/** How a quotient that is not whole is rounded. `half-up` is what Aave's WadRayMath and PercentageMath do. */
export type Rounding = 'down' | 'up' | 'half-up'

/**
 * `a * b / denominator` without intermediate overflow, rounded as named.
 *
 * @throws {InvariantError} when the denominator is not positive or an operand is negative.
 * @example mulDiv(7n, 1n, 2n, 'down') // 3n
 * @example mulDiv(7n, 1n, 2n, 'half-up') // 4n
 */
export function mulDiv(a: bigint, b: bigint, denominator: bigint, rounding: Rounding): bigint {
  if (denominator <= 0n || a < 0n || b < 0n)
    throw new InvariantError('mulDiv takes non-negative operands and a positive denominator.', {
      a,
      b,
      denominator,
    })
  const product = a * b
  if (rounding === 'down') return product / denominator
  if (rounding === 'up') return (product + denominator - 1n) / denominator
  return (product + denominator / 2n) / denominator
}

/**
 * The dollar value of a token amount at an oracle price.
 *
 * @param amount in the token's smallest unit
 * @param price US dollars per whole token, 8 decimals
 * @param decimals the token's decimals
 * @example usdValue(tokenAmount(10n ** 18n), usd(2_000n * 10n ** 8n), 18, 'down') // 2,000 dollars
 */
export function usdValue(amount: TokenAmount, price: Usd, decimals: number, rounding: Rounding): Usd {
  return usd(mulDiv(amount, price, 10n ** BigInt(decimals), rounding))
}

/**
 * The token amount that a dollar value buys at an oracle price: the inverse of {@link usdValue}.
 *
 * @throws {InvariantError} when the price is zero.
 */
export function amountWorth(value: Usd, price: Usd, decimals: number, rounding: Rounding): TokenAmount {
  return tokenAmount(mulDiv(value, 10n ** BigInt(decimals), price, rounding))
}

/** `value * fraction / 10,000`, rounded as named. */
export function portion<T extends bigint>(value: T, fraction: Bps, rounding: Rounding): T {
  return mulDiv(value, fraction, BPS, rounding) as T
}

/** A dollar value as a decimal string. @example formatUsd(usd(123_450_000_000n)) // '1234.5' */
export const formatUsd = (value: bigint): string => formatUnits(value, USD_DECIMALS)
/** An 18-decimal number as a decimal string. @example formatWad(wad(1_250_000_000_000_000_000n)) // '1.25' */
export const formatWad = (value: bigint): string => formatUnits(value, 18)

/**
 * A decimal string as a fixed-point number.
 *
 * @throws {InvalidInputError} when the text is no plain non-negative decimal or has more decimals than fit.
 * @example parseDecimal('1.25', 18) // 1_250_000_000_000_000_000n
 */
export function parseDecimal(text: string, decimals: number): bigint {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null || (match[2] ?? '').length > decimals)
    throw new InvalidInputError(`"${text}" is not a decimal number with at most ${decimals} decimals.`, {
      fix: 'Write it like 1.25.',
    })
  return parseUnits(text, decimals)
}

/** What a number with that many decimals is worth as a float, for statistics and pixels, never for money. */
export const toNumber = (value: bigint, decimals: number): number => Number(formatUnits(value, decimals))
