import { InvariantError } from '../../runtime/core/errors.ts'

/** RiskMetrics' decay factor for daily returns; at one return per block it remembers about 16 blocks. */
const RISKMETRICS_LAMBDA = 0.94

/** What {@link estimateReturns} found, per block: plain fractions, not basis points. */
export type ReturnEstimate = {
  /** Standard deviation of one block's return. */
  readonly volatility: number
  /** Mean of one block's return. */
  readonly mean: number
  /** How far {@link mean} may be off by chance alone: one standard error. */
  readonly meanError: number
}

/**
 * Volatility and mean by exponentially weighted moving averages, the newest return weighing most.
 *
 * `σ² = Σ λ^i r²(t-i) / Σ λ^i` and likewise the mean. As in RiskMetrics the mean is taken as zero inside the
 * variance, which only ever makes a falling market look rougher; the weights are normalised, so that a short
 * history is not taken for a calm one. The standard error of the mean uses Kish's effective sample size
 * `(Σ w)² / Σ w²`.
 *
 * Source: J.P. Morgan/Reuters, *RiskMetrics Technical Document*, 4th ed. (1996), §5.2.
 *
 * @param returns fractions per block, oldest first
 * @param prior a volatility that counts as one more return, older than all: the answer where there is none
 * @throws {InvariantError} when λ does not lie in (0, 1) or a return is not finite.
 * @example estimateReturns([0.01, -0.01], { prior: 0.01 }).volatility // 0.01
 */
export function estimateReturns(
  returns: readonly number[],
  { prior, lambda = RISKMETRICS_LAMBDA }: { prior: number; lambda?: number },
): ReturnEstimate {
  if (!(lambda > 0 && lambda < 1)) throw new InvariantError('lambda must lie between 0 and 1.', { lambda })
  if (!(prior >= 0)) throw new InvariantError('The prior volatility must not be negative.', { prior })
  let weight = 1
  let weights = 0
  let squaredWeights = 0
  let squares = 0
  let sum = 0
  const observe = (value: number, square: number) => {
    if (!Number.isFinite(value)) throw new InvariantError('A return must be finite.', { value })
    weights += weight
    squaredWeights += weight * weight
    squares += weight * square
    sum += weight * value
    weight *= lambda
  }
  for (let index = returns.length - 1; index >= 0; index--) {
    const value = returns[index] as number
    observe(value, value * value)
  }
  observe(0, prior * prior)
  const volatility = Math.sqrt(squares / weights)
  return { volatility, mean: sum / weights, meanError: volatility * (Math.sqrt(squaredWeights) / weights) }
}
