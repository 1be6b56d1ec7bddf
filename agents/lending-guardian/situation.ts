import type { FeasibleCandidate } from './candidates.ts'
import type { GuardianSettings } from './options.ts'
import { classify, type PositionClass } from './positionClass.ts'
import type { Scene } from './scene.ts'
import { type Candidate, PROJECTED_SIZES, SITUATION_SCHEMA_ID, type Situation } from './schema.ts'

/** What a model is told of a scene. @see classify for what is rounded, and how. */
export const describeSituation = (
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  settings: GuardianSettings,
): Situation => describeClass(classify(scene, candidates, settings))

/**
 * The situation of a class. It is given the class alone, so it can tell no more: projections are those of a
 * position at the careful edge of the class, and not those of the owner's.
 */
export function describeClass({ protection, ...position }: PositionClass): Situation {
  const wait: Candidate = {
    id: protection === null ? 'c1' : 'c2',
    kind: 'wait',
    sizeBounds: [0, 0],
    projections: [{ size: 0, healthFactorAfter: position.healthFactor, costBps: 0, debtAfter: 1 }],
  }
  const candidates = protection === null ? [wait] : [describeProtection(protection, position), wait]
  return { schema: SITUATION_SCHEMA_ID, ...position, candidates }
}

function describeProtection(
  { reach, costBps, debtAfter }: NonNullable<PositionClass['protection']>,
  { healthFactor, target }: Pick<PositionClass, 'healthFactor' | 'target'>,
): Candidate {
  const now = Math.round(healthFactor * 100)
  const way = Math.round(target * 100) - now
  const left = Math.round(debtAfter * 100)
  return {
    id: 'c1',
    kind: 'protect',
    sizeBounds: [1, reach],
    projections: PROJECTED_SIZES.filter((size) => size <= reach).map((size) => {
      const after = now + Math.floor((way * size) / 100)
      return {
        size,
        healthFactorAfter: after / 100,
        costBps,
        // The way down is convex in the health factor, so it lies under the straight line.
        debtAfter: Math.ceil((100 * reach - (100 - left) * size) / (5 * reach)) / 20,
      }
    }),
  }
}
