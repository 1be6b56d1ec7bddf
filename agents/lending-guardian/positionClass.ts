import type { ReserveState } from '../../runtime/core/snapshot.ts'
import { BPS, type Bps, bps, mulDiv, portion, WAD, type Wad, wad } from '../../runtime/core/units.ts'
import { closeFactor } from '../../runtime/protocols/aave-v3/liquidation.ts'
import type { FeasibleCandidate } from './candidates.ts'
import type { Picked } from './fallback.ts'
import type { GuardianSettings, Thresholds } from './options.ts'
import type { Scene } from './scene.ts'
import {
  BONUS_BUCKETS_BPS,
  COST_BUCKETS_BPS,
  DEBT_LEFT_BUCKETS,
  DEVIATION_BUCKETS_BPS,
  HEALTH_FACTOR_CAP,
  HEALTH_FACTOR_RUNGS,
  MARKET_STEP_BPS,
  REACHES,
  type Situation,
} from './schema.ts'
import { estimateReturns } from './volatility.ts'

/**
 * The volatility that counts as one return older than all others: 20 bps a block, four times what ETH does on a
 * usual day of 12-second blocks. With 64 returns it hardly counts; with none it is all there is, and not to know
 * is no reason to be calm.
 */
const PRIOR_VOLATILITY = 0.002

/**
 * The class that a position belongs to: all that a prompt is made of. Many positions share a class, and whoever
 * reads a prompt learns no more than which of the classes it is.
 */
export type PositionClass = Pick<
  Situation,
  'healthFactor' | 'hardFloor' | 'target' | 'horizonBlocks' | 'market' | 'liquidation'
> & {
  /** How far the position can be protected and at what cost. Null where it does not get halfway to the target. */
  readonly protection: {
    readonly reach: (typeof REACHES)[number]
    readonly costBps: (typeof COST_BUCKETS_BPS)[number]
    /** How much of the debt is left at the end of that way, as a part of the debt now. */
    readonly debtAfter: (typeof DEBT_LEFT_BUCKETS)[number]
  } | null
}

/**
 * The class of a scene. Every rounding is to the careful side: the health factor and how far there is a way are
 * rounded down; costs, volatility, falls and what a liquidation takes are rounded up.
 *
 * This is the one way from exact figures to a prompt.
 */
export function classify(
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  settings: GuardianSettings,
): PositionClass {
  const { thresholds, horizonBlocks } = settings
  const healthFactor = rungOf(scene.healthFactor, thresholds)
  return {
    healthFactor,
    hardFloor: hundredths(thresholds.floor, 'up'),
    target: hundredths(thresholds.target, 'up'),
    horizonBlocks,
    market: marketOf(scene),
    liquidation: {
      bonusBps: atLeast(BONUS_BUCKETS_BPS, Number(bonusOf(scene.collateral))),
      // Of the rounded health factor, so that it tells nothing more.
      closeFactorBps: closeFactor(toWad(healthFactor)) === BPS ? 10_000 : 5_000,
    },
    protection: protectionOf(scene, candidates, healthFactor, thresholds.target),
  }
}

function protectionOf(
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  healthFactor: number,
  target: Wad,
): PositionClass['protection'] {
  for (const reach of REACHES.toReversed()) {
    const picked = pickWay(scene, candidates, reach, healthFactor, target)
    if (picked === null) continue
    const { totalDebt } = scene.position.account
    const left = partBps(picked.step.account.totalDebt, totalDebt)
    return {
      reach,
      costBps: atLeast(COST_BUCKETS_BPS, partBps(picked.step.cost, totalDebt)),
      debtAfter: atLeast(DEBT_LEFT_BUCKETS, left / 10_000),
    }
  }
  return null
}

/**
 * The best way to go at least so far from a health factor, as a prompt writes it, to the target, at the smallest size
 * that does; null where none does, or where there is no way to go.
 *
 * The best is after which least can be lost: what it costs, and what liquidations of all the debt that it leaves would
 * take. So debt is repaid out of the collateral rather than from the wallet while the market takes it at a fair price.
 *
 * What a model chooses in coarse terms is carried out in exact ones: a position that is better off than its class
 * takes a smaller step, and none takes a larger one than the target asks for.
 *
 * @param size per cent of the way
 */
export function pickWay(
  { collateral }: Pick<Scene, 'collateral'>,
  candidates: readonly FeasibleCandidate[],
  size: number,
  healthFactor: number,
  target: Wad,
): Picked | null {
  const from = toWad(healthFactor)
  if (from >= target) return null
  const level = from + mulDiv(target - from, BigInt(size), 100n, 'up')
  const losable = ({ step }: Picked): bigint =>
    step.cost + portion(step.account.totalDebt, bonusOf(collateral), 'up')
  const ways = candidates.flatMap((candidate): Picked[] => {
    const step = candidate.steps.find(({ account }) => account.healthFactor >= level)
    return step === undefined || candidate.kind === 'wait' ? [] : [{ candidate, step }]
  })
  return ways.reduce<Picked | null>(
    (best, way) => (best === null || losable(way) < losable(best) ? way : best),
    null,
  )
}

function marketOf({ marketReturnsBps, poolDeviationBps }: Scene): Situation['market'] {
  const estimate = estimateReturns(
    marketReturnsBps.map((value) => value / 10_000),
    { prior: PRIOR_VOLATILITY },
  )
  // Cut before it is rounded up: the last bits of a sum must not decide on a step.
  const steps = (value: number) =>
    Math.min(10_000, Math.ceil(Number(((value * 10_000) / MARKET_STEP_BPS).toPrecision(6))) * MARKET_STEP_BPS)
  return {
    volatilityBps: steps(estimate.volatility),
    driftBps: 0 - steps(Math.max(0, -estimate.mean - estimate.meanError)),
    poolDeviationBps: atMost(DEVIATION_BUCKETS_BPS, Math.min(0, poolDeviationBps ?? 0)),
  }
}

/** What a liquidator receives beyond the debt that it repays. */
const bonusOf = ({ liquidationBonus }: ReserveState): Bps =>
  bps(liquidationBonus > BPS ? liquidationBonus - BPS : 0n)

/**
 * The highest rung that is not above the health factor. The hard floor and the target are rungs: whether waiting is
 * allowed, and whether there is any way to go, is exact.
 */
function rungOf(value: Wad, { floor, target }: Thresholds): number {
  const rungs = [...HEALTH_FACTOR_RUNGS, hundredths(floor, 'up'), hundredths(target, 'up')]
  return Math.max(...rungs.filter((rung) => toWad(rung) <= value))
}

/** A number of hundredths, as 18 decimals. */
const toWad = (value: number): Wad => wad(BigInt(Math.round(value * 100)) * (WAD / 100n))

const hundredths = (value: Wad, rounding: 'down' | 'up'): number =>
  Math.min(HEALTH_FACTOR_CAP, Number(mulDiv(value, 100n, WAD, rounding)) / 100)

/** The first of rising values that is not under a value, or the last there is. */
export function atLeast<const T extends number>(rising: readonly [...T[], T], value: number): T {
  return rising.find((bucket) => bucket >= value) ?? (rising.at(-1) as T)
}

/** The first of falling values that is not above a value, or the last there is. */
function atMost<const T extends number>(falling: readonly [...T[], T], value: number): T {
  return falling.find((bucket) => bucket <= value) ?? (falling.at(-1) as T)
}

/** A part of a whole in basis points, rounded up and capped. Of nothing, everything is all. */
function partBps(part: bigint, whole: bigint): number {
  if (part <= 0n) return 0
  if (whole <= 0n) return Number(BPS)
  const exact = mulDiv(part, BPS, whole, 'up')
  return Number(exact < BPS ? exact : BPS)
}
