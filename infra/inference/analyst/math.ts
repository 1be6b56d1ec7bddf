/**
 * The reference analyst's mathematics: pure functions over plain numbers. Nothing here is money.
 *
 * `Math.exp`, `Math.log` and `Math.sqrt` are exact to about one unit in the last place, and the first two may
 * differ in it between JavaScript engines. So that a decision does not depend on the engine, every number that
 * leaves these functions for a comparison goes through {@link toSignificant} first. A value that falls within
 * 1e-15 of a rounding boundary could still go either way on two engines; on one engine it never does.
 */
import { InvariantError } from '../../../runtime/core/errors.ts'

// W. J. Cody's rational Chebyshev approximations, as in his CALERF (SPECFUN, netlib.org/specfun/erf).
// The highest coefficient stands where CALERF keeps it: last in each numerator.
const ERF_P = [
  3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694, 0.18577770618460315,
]
const ERF_Q = [23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171]
const MIDDLE_P = [
  0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769,
  1712.0476126340707, 2051.0783778260716, 1230.3393547979972, 2.1531153547440383e-8,
]
const MIDDLE_Q = [
  15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
  4362.619090143247, 3439.3676741437216, 1230.3393548037495,
]
const TAIL_P = [
  0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275, 0.0006587491615298378,
  0.016315387137302097,
]
const TAIL_Q = [
  2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918,
]
const ONE_OVER_SQRT_PI = 0.5641895835477563

/** `(p[n] z^n + p[0] z^(n-1) + … + p[n-1]) / (z^n + q[0] z^(n-1) + … + q[n-1])`, by Horner's rule. */
function rational(z: number, p: readonly number[], q: readonly number[]): number {
  let numerator = p[q.length] as number
  let denominator = 1
  for (let index = 0; index < q.length; index++) {
    numerator = numerator * z + (p[index] as number)
    denominator = denominator * z + (q[index] as number)
  }
  return numerator / denominator
}

/**
 * The scaled complementary error function `exp(x²) · erfc(x)`, for x ≥ 0: it neither over- nor underflows.
 *
 * Source: W. J. Cody, *Rational Chebyshev approximations for the error function*, Math. Comp. 23 (1969),
 * 631–637. The approximations are good to 6e-19 relative; what is left is double rounding, below 1e-14 here.
 *
 * @throws {InvariantError} when x is negative or not a number.
 * @example erfcx(0) // 1
 */
export function erfcx(x: number): number {
  if (!(x >= 0)) throw new InvariantError('erfcx takes a number that is not negative.', { x })
  if (x <= 0.46875) {
    const z = x * x
    return Math.exp(z) * (1 - x * rational(z, ERF_P, ERF_Q))
  }
  if (x <= 4) return rational(x, MIDDLE_P, MIDDLE_Q)
  // Beyond 1e8 the correction is below half a unit in the last place, and 1/x² would soon underflow.
  if (x > 1e8) return ONE_OVER_SQRT_PI / x
  const z = 1 / (x * x)
  return (ONE_OVER_SQRT_PI - z * rational(z, TAIL_P, TAIL_Q)) / x
}

/**
 * The standard normal distribution function Φ(x).
 *
 * By Cody's {@link erfcx}; relative error below 1e-13 down to x = -37, where Φ leaves the range of doubles.
 *
 * @example normalCdf(0) // 0.5
 * @example normalCdf(-1.959963984540054) // 0.025
 */
export function normalCdf(x: number): number {
  if (Number.isNaN(x)) throw new InvariantError('normalCdf takes a number.')
  const tail = 0.5 * erfcx(Math.abs(x) / Math.SQRT2) * gaussian(x)
  return x <= 0 ? tail : 1 - tail
}

/**
 * `exp(-x²/2)` without the error that squaring first would bring: x is split into a part whose square is exact
 * and a small rest (Cody's own device).
 */
function gaussian(x: number): number {
  if (Math.abs(x) > 40) return 0
  const head = Math.trunc(x * 16) / 16
  return Math.exp(-0.5 * head * head) * Math.exp(-0.5 * (x - head) * (x + head))
}

/**
 * The probability that a Brownian motion with drift, started `distance` above a barrier, touches it by `time`.
 *
 * `P = Φ((-a - νT)/(σ√T)) + exp(-2νa/σ²) · Φ((-a + νT)/(σ√T))`, the inverse Gaussian distribution function, by
 * the reflection principle and a change of measure. With a = ln(price/barrier) and ν = μ - σ²/2 it is the
 * first-passage probability of geometric Brownian motion. The second term is computed by {@link erfcx} as
 * `½ exp(-z₁²/2) · erfcx(z₂/√2)`, since its factors alone overflow and underflow.
 *
 * Source: J. M. Harrison, *Brownian Motion and Stochastic Flow Systems* (1985), §1.8, eq. (11); A. N. Borodin
 * and P. Salminen, *Handbook of Brownian Motion*, 2nd ed. (2002), part II, 2.1.2.4.
 *
 * @param distance a, in log price; at or below zero the barrier has been touched and the answer is 1
 * @param drift ν, in log price per unit of time
 * @param volatility σ, in log price per square root of a unit of time
 * @param time T, in the same unit, not negative
 * @throws {InvariantError} when volatility or time is negative or anything is not a number.
 * @example firstPassageProbability({ distance: 1.959963984540054, drift: 0, volatility: 1, time: 1 }) // 0.05
 */
export function firstPassageProbability({
  distance,
  drift,
  volatility,
  time,
}: {
  distance: number
  drift: number
  volatility: number
  time: number
}): number {
  if (!(volatility >= 0 && time >= 0) || Number.isNaN(distance) || Number.isNaN(drift))
    throw new InvariantError('A first passage takes numbers, with volatility and time not negative.', {
      distance,
      drift,
      volatility,
      time,
    })
  if (distance <= 0) return 1
  if (time === 0) return 0
  if (volatility === 0) return distance + drift * time <= 0 ? 1 : 0
  const deviation = volatility * Math.sqrt(time)
  const ahead = (distance + drift * time) / deviation
  const behind = (distance - drift * time) / deviation
  const direct = normalCdf(-ahead)
  const reflected =
    behind > 0
      ? 0.5 * gaussian(ahead) * erfcx(behind / Math.SQRT2)
      : Math.exp((-2 * drift * distance) / (volatility * volatility)) * normalCdf(-behind)
  return Math.min(1, direct + reflected)
}

/** One way that the market may be: with this weight, volatility is this multiple of what was measured. */
export type Regime = { readonly weight: number; readonly multiple: number }

/**
 * {@link firstPassageProbability} where the volatility itself is uncertain: the weighted mean over regimes.
 *
 * A mixture of Brownian motions has the fat tails that one Brownian motion lacks, and stays a closed form.
 */
export function mixedPassageProbability(
  parameters: { distance: number; drift: number; volatility: number; time: number },
  regimes: readonly Regime[],
): number {
  let probability = 0
  for (const { weight, multiple } of regimes)
    probability +=
      weight * firstPassageProbability({ ...parameters, volatility: parameters.volatility * multiple })
  return Math.min(1, probability)
}

/**
 * A number cut to so many significant digits: what comparisons are made on.
 *
 * @example toSignificant(0.123456789) // 0.123457
 */
export function toSignificant(value: number, digits = 6): number {
  return Number(value.toPrecision(digits))
}
