import { BPS, mulDiv, type Usd, type Wad } from '../../runtime/core/units.ts'
import { closeFactor } from '../../runtime/protocols/aave-v3/liquidation.ts'
import type { FeasibleCandidate, Step } from './candidates.ts'
import type { GuardianSettings } from './options.ts'
import { gasCost, type Scene } from './scene.ts'
import {
  type Candidate,
  COST_CAP_BPS,
  GAS_COST_BUCKETS_BPS,
  HEALTH_FACTOR_CAP,
  type Projection,
  SITUATION_SCHEMA_ID,
  type Situation,
} from './schema.ts'

/**
 * What a model is told of a scene: ratios and coarse buckets, each rounded to the careful side.
 *
 * This is the one way from exact figures to a prompt.
 */
export function describeSituation(
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  settings: GuardianSettings,
): Situation {
  const { thresholds, horizonBlocks, gas } = settings
  const { position, collateral } = scene
  return {
    schema: SITUATION_SCHEMA_ID,
    healthFactor: healthFactorBucket(scene.healthFactor, 'down'),
    hardFloor: healthFactorBucket(thresholds.floor, 'up'),
    trigger: healthFactorBucket(thresholds.trigger, 'up'),
    target: healthFactorBucket(thresholds.target, 'up'),
    horizonBlocks,
    returnsBps: [...scene.returnsBps],
    poolDeviationBps: scene.poolDeviationBps,
    gasCostBps: gasBucket(gasCost(scene, gas.deleverage), position.account.totalDebt),
    liquidation: {
      thresholdBps: Number(position.account.liquidationThreshold),
      bonusBps: Number(collateral.liquidationBonus > BPS ? collateral.liquidationBonus - BPS : 0n),
      closeFactorBps: Number(closeFactor(scene.healthFactor)),
    },
    candidates: candidates.map((candidate) => describeCandidate(scene, candidate, thresholds.target)),
  }
}

function describeCandidate(scene: Scene, candidate: FeasibleCandidate, target: Wad): Candidate {
  const { id, kind, steps } = candidate
  const [first] = steps
  const last = steps.at(-1) ?? first
  return {
    id,
    kind,
    sizeBounds: [first.size, last.size],
    projections: worthShowing(steps, target).map((step) => describeStep(scene, step)),
  }
}

/** The ends, three sizes between them and the first that reaches the target, rising. */
function worthShowing(steps: readonly Step[], target: Wad): readonly Step[] {
  const last = steps.length - 1
  const indices = new Set([0, last >> 2, last >> 1, (3 * last) >> 2, last])
  const reaching = steps.findIndex(({ account }) => account.healthFactor >= target)
  if (reaching >= 0) indices.add(reaching)
  return [...indices].sort((a, b) => a - b).flatMap((index) => steps[index] ?? [])
}

function describeStep(scene: Scene, step: Step): Projection {
  const { healthFactor, totalDebt } = step.account
  return {
    size: step.size,
    healthFactorAfter: healthFactorBucket(healthFactor, 'down'),
    costBps: partBps(step.cost, scene.equity),
    debtAfter: hundredths(mulDiv(totalDebt, 100n, scene.position.account.totalDebt, 'up')),
  }
}

/** In hundredths, as the nearest double of their decimal spelling. */
const hundredths = (count: bigint): number => Number(count) / 100

/** @example healthFactorBucket(wad(1_069_999_999_999_999_999n), 'down') // 1.06 */
function healthFactorBucket(value: Wad, rounding: 'down' | 'up'): number {
  return Math.min(HEALTH_FACTOR_CAP, hundredths(mulDiv(value, 100n, 10n ** 18n, rounding)))
}

/** A part of a whole in basis points, rounded up and capped. Of nothing, everything is all. */
function partBps(part: Usd, whole: Usd): number {
  if (part === 0n) return 0
  if (whole === 0n) return COST_CAP_BPS
  return Math.min(COST_CAP_BPS, Number(mulDiv(part, BPS, whole, 'up')))
}

/** The smallest bucket that is not under the cost, or the largest there is. */
function gasBucket(cost: Usd, debt: Usd): Situation['gasCostBps'] {
  const exact = partBps(cost, debt)
  return GAS_COST_BUCKETS_BPS.find((bucket) => bucket >= exact) ?? 1_000
}
