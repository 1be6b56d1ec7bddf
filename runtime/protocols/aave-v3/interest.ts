import { InvariantError } from '../../core/errors.ts'
import type { ReservePosition, ReserveState } from '../../core/snapshot.ts'
import { RAY, type Ray, ray, type TokenAmount, tokenAmount } from '../../core/units.ts'
import { rayMul } from './wadRayMath.ts'

/** Aave's year, leap years left out. */
export const SECONDS_PER_YEAR = 31_536_000n

function elapsed(since: bigint, timestamp: bigint): bigint {
  if (timestamp < since) throw new InvariantError('Interest cannot accrue backwards.', { since, timestamp })
  return timestamp - since
}

/**
 * The factor that a linear rate grows by. `MathUtils.calculateLinearInterest`.
 *
 * @param rate yearly, 27 decimals
 * @param seconds time passed
 * @example linearInterest(ray(RAY / 10n), SECONDS_PER_YEAR) // 1.1 with 27 decimals
 */
export const linearInterest = (rate: Ray, seconds: bigint): Ray =>
  ray(RAY + (rate * seconds) / SECONDS_PER_YEAR)

/**
 * The factor that a rate grows by when it compounds every second: Aave's binomial series of three terms.
 * `MathUtils.calculateCompoundedInterest`.
 *
 * @param rate yearly, 27 decimals
 * @param seconds time passed
 */
export function compoundedInterest(rate: Ray, seconds: bigint): Ray {
  if (seconds === 0n) return RAY
  const minusOne = seconds - 1n
  const minusTwo = seconds > 2n ? seconds - 2n : 0n
  const squared = rayMul(rate, rate) / (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
  const cubed = rayMul(squared, rate) / SECONDS_PER_YEAR
  const second = (seconds * minusOne * squared) / 2n
  const third = (seconds * minusOne * minusTwo * cubed) / 6n
  return ray(RAY + (rate * seconds) / SECONDS_PER_YEAR + second + third)
}

type Accruing = Pick<
  ReserveState,
  'liquidityIndex' | 'liquidityRate' | 'variableBorrowIndex' | 'variableBorrowRate' | 'lastUpdateTimestamp'
>

/**
 * What one scaled aToken is worth in the underlying at `timestamp`, 27 decimals.
 * `Pool.getReserveNormalizedIncome`.
 */
export function normalizedIncome(reserve: Accruing, timestamp: bigint): Ray {
  const seconds = elapsed(reserve.lastUpdateTimestamp, timestamp)
  return ray(rayMul(linearInterest(reserve.liquidityRate, seconds), reserve.liquidityIndex))
}

/**
 * What one scaled debt token owes in the underlying at `timestamp`, 27 decimals.
 * `Pool.getReserveNormalizedVariableDebt`.
 */
export function normalizedDebt(reserve: Accruing, timestamp: bigint): Ray {
  const seconds = elapsed(reserve.lastUpdateTimestamp, timestamp)
  return ray(rayMul(compoundedInterest(reserve.variableBorrowRate, seconds), reserve.variableBorrowIndex))
}

/** What a position has supplied of a reserve at `timestamp`, interest included. `AToken.balanceOf`. */
export const suppliedBalance = (
  position: Pick<ReservePosition, 'scaledATokenBalance'>,
  reserve: Accruing,
  timestamp: bigint,
): TokenAmount => tokenAmount(rayMul(position.scaledATokenBalance, normalizedIncome(reserve, timestamp)))

/** What a position owes of a reserve at `timestamp`, interest included. `VariableDebtToken.balanceOf`. */
export const debtBalance = (
  position: Pick<ReservePosition, 'scaledVariableDebt'>,
  reserve: Accruing,
  timestamp: bigint,
): TokenAmount => tokenAmount(rayMul(position.scaledVariableDebt, normalizedDebt(reserve, timestamp)))
