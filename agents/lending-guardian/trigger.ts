import { toNumber, type Wad } from '../../runtime/core/units.ts'
import type { Thresholds } from './options.ts'

/** Why the guardian thinks. */
export type Alarm =
  /** The health factor is under the trigger. */
  | 'under-trigger'
  /** It would be, at the pool's price, which the oracle follows. */
  | 'pool-leads'
  /** A move of three standard deviations within the horizon would end in liquidation. */
  | 'rough-market'

/** How many standard deviations of the moves of late must fit between the position and its liquidation. */
const DEVIATIONS = 3

/**
 * Whether the position calls for thought: the cheap question asked in every block, before any graph runs.
 *
 * Pure, and made of operations that are exact to the last bit on every machine (`Math.sqrt` is). The rule for a
 * rough market is a rule of thumb beside the analyst's first-passage probability: σ√T, three times.
 *
 * @param parameters.healthFactor 18 decimals
 * @param parameters.returnsBps what the health factor did in the latest blocks by prices alone, in basis points
 * @param parameters.poolDeviationBps the pool's price against the oracle's, negative where it is lower
 * @returns why to think, or null to stay quiet
 * @example raiseAlarm({ healthFactor: wad(2n * WAD), thresholds, returnsBps: [], poolDeviationBps: null, horizonBlocks: 50 })
 * // null
 */
export function raiseAlarm({
  healthFactor,
  thresholds,
  returnsBps,
  poolDeviationBps,
  horizonBlocks,
}: {
  readonly healthFactor: Wad
  readonly thresholds: Thresholds
  readonly returnsBps: readonly number[]
  readonly poolDeviationBps: number | null
  readonly horizonBlocks: number
}): Alarm | null {
  if (healthFactor < thresholds.trigger) return 'under-trigger'
  const now = toNumber(healthFactor, 18)
  const ahead = now * (1 + Math.min(0, poolDeviationBps ?? 0) / 10_000)
  if (ahead < toNumber(thresholds.trigger, 18)) return 'pool-leads'
  if (returnsBps.length === 0) return null
  const squares = returnsBps.reduce((sum, value) => sum + value * value, 0)
  const variance = squares / returnsBps.length / 10_000 ** 2
  return ahead < 1 + DEVIATIONS * Math.sqrt(variance * horizonBlocks) ? 'rough-market' : null
}
