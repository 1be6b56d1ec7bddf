import { BPS, type Bps, RAY, type Ray, ray } from '../../core/units.ts'
import { percentMul, rayDiv, rayMul } from './wadRayMath.ts'

/** The parameters of a `DefaultReserveInterestRateStrategy`, 27 decimals. */
export type RateStrategy = {
  readonly optimalUsageRatio: Ray
  readonly baseVariableBorrowRate: Ray
  readonly variableRateSlope1: Ray
  readonly variableRateSlope2: Ray
}

/** What a reserve's rates follow from, without stable debt and bridged aTokens. Amounts in the smallest unit. */
export type RateInputs = {
  /** Underlying that the aToken holds after the action. */
  readonly availableLiquidity: bigint
  /** Variable debt of everybody after the action, interest included. */
  readonly totalVariableDebt: bigint
  readonly reserveFactor: Bps
}

/**
 * The yearly rates that a reserve has after an action, 27 decimals.
 * `DefaultReserveInterestRateStrategy.calculateInterestRates` of Aave 3.0.x.
 */
export function interestRates(
  strategy: RateStrategy,
  inputs: RateInputs,
): { readonly liquidityRate: Ray; readonly variableBorrowRate: Ray } {
  const { totalVariableDebt: debt } = inputs
  if (debt === 0n) return { liquidityRate: ray(0n), variableBorrowRate: strategy.baseVariableBorrowRate }
  const usage = rayDiv(debt, inputs.availableLiquidity + debt)
  const optimal = strategy.optimalUsageRatio
  const slope =
    usage > optimal
      ? strategy.variableRateSlope1 +
        rayMul(strategy.variableRateSlope2, rayDiv(usage - optimal, RAY - optimal))
      : rayDiv(rayMul(strategy.variableRateSlope1, usage), optimal)
  const variableBorrowRate = ray(strategy.baseVariableBorrowRate + slope)
  // The contract averages variable and stable debt in rays of wads; its roundings are kept.
  const wadToRay = 10n ** 9n
  const overall = rayDiv(rayMul(debt * wadToRay, variableBorrowRate), debt * wadToRay)
  return {
    liquidityRate: ray(percentMul(rayMul(overall, usage), BPS - inputs.reserveFactor)),
    variableBorrowRate,
  }
}
