import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** A source of numbers that are uniform in [-1, 1). */
export type Shocks = () => number

/** The generator's first state is mostly zeros and ones; after so many draws nothing of that is left. */
const WARM_UP_DRAWS = 64

/**
 * Shocks that depend on nothing but the seed.
 *
 * @param seed an unsigned 32-bit integer
 */
export function seededShocks(seed: number): Shocks {
  const generator = xoroshiro128plus(scramble(seed))
  for (let draw = 0; draw < WARM_UP_DRAWS; draw++) generator.next()
  return () => 2 * uniformFloat64(generator) - 1
}

/**
 * Spreads a seed over 32 bits, one to one (MurmurHash3's finaliser, `fmix32`). The generator is linear in its
 * seed: without this, the paths of neighbouring seeds are visibly related.
 */
function scramble(seed: number): number {
  let bits = seed | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}

/** `base` to a whole power by squaring: `Math.pow` may differ in its last bits between engines. */
function wholePower(base: number, exponent: number): number {
  let result = 1
  let square = base
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square
    square *= square
  }
  return result
}

/**
 * The factor which, applied `steps` times, multiplies by `ratio`: the steps-th root, by bisection.
 *
 * @param ratio positive
 * @param steps a whole number of at least one
 * @example stepFactor(0.25, 2) // 0.5
 */
export function stepFactor(ratio: number, steps: number): number {
  let low = Math.min(1, ratio)
  let high = Math.max(1, ratio)
  for (;;) {
    const middle = low + (high - low) / 2
    if (middle <= low || middle >= high) return middle
    if (wholePower(middle, steps) < ratio) low = middle
    else high = middle
  }
}

/** One leg of a path: where it leads, and how long it takes when the path has its default length. */
type Leg = { readonly to: number; readonly steps: number }

/**
 * Stretches or shrinks the legs to a number of steps in all, keeping their proportions as well as whole steps
 * allow and never fewer than one step a leg, so that a path of any length visits every waypoint.
 *
 * @param legs the default lengths
 * @param steps at least as many as there are legs
 * @returns the steps of each leg
 * @example allocateSteps([8, 4], 6) // [4, 2]
 */
export function allocateSteps(legs: readonly number[], steps: number): number[] {
  const whole = legs.reduce((sum, length) => sum + length, 0)
  let covered = 0
  let at = 0
  return legs.map((length, index) => {
    covered += length
    const ideal = Math.round((covered * steps) / whole)
    const end = Math.min(Math.max(ideal, at + 1), steps - (legs.length - 1 - index))
    const taken = end - at
    at = end
    return taken
  })
}

/** What {@link bridgedPath} draws. */
type BridgedPath = {
  readonly from: number
  readonly legs: readonly Leg[]
  /** How many steps in all; at least one per leg. */
  readonly steps: number
  /** The most that one step may move at the default length, as a fraction: 0.04 is 4 %. */
  readonly maxMove: number
  /** The most that one shock may move at the default length, as a fraction. */
  readonly maxShock: number
  readonly shocks: Shocks
}

/**
 * How much of what the trend leaves of `maxMove` is given to shocks. A bridge takes the mean shock off each
 * one, so a step feels up to two of them; the rest of the margin is for the bridge's own level, which scales
 * its steps.
 */
const SHOCK_MARGIN = 0.45

/**
 * A random path through waypoints: each leg is a geometric trend times `1 + bridge`.
 *
 * The bridge is a random walk with its own mean taken off (`B_k = S_k - k/n * S_n`, as a Brownian bridge is
 * made from Brownian motion), so it vanishes at both ends of its leg and the waypoints are hit exactly.
 * Shocks are uniform, hence bounded: a leg's are chosen so that trend and shocks together stay within
 * `maxMove` by construction, and nothing needs to be clipped. A longer path has smaller steps, the trend's by
 * the ratio of lengths and the shocks' by its root, so that the bridges are as wide at any resolution; the
 * bound on a step therefore holds from the default length upwards, and below it steps grow.
 *
 * @returns `steps + 1` levels, `from` first
 */
export function bridgedPath({ from, legs, steps, maxMove, maxShock, shocks }: BridgedPath): number[] {
  const path = [from]
  const lengths = allocateSteps(
    legs.map((leg) => leg.steps),
    steps,
  )
  let start = from
  for (const [index, leg] of legs.entries()) {
    const length = lengths[index] ?? 1
    const defaultTrend = Math.abs(stepFactor(leg.to / start, leg.steps) - 1)
    const shock = Math.min(maxShock, SHOCK_MARGIN * (maxMove - defaultTrend)) * Math.sqrt(leg.steps / length)
    const walk = runningSums(length, shocks)
    const drift = (walk[length - 1] ?? 0) / length
    const factor = stepFactor(leg.to / start, length)
    let trend = start
    for (let step = 1; step < length; step++) {
      trend *= factor
      path.push(trend * (1 + shock * ((walk[step - 1] ?? 0) - drift * step)))
    }
    path.push(leg.to)
    start = leg.to
  }
  return path
}

function runningSums(length: number, shocks: Shocks): number[] {
  let sum = 0
  return Array.from({ length }, () => {
    sum += shocks()
    return sum
  })
}
