import type { Intent } from '../../runtime/core/intent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { hasDebt } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { enumerateCandidates } from './candidates.ts'
import { chooseByRule } from './fallback.ts'
import { type LendingGuardianOptions, settle } from './options.ts'
import { nothing } from './propose.ts'
import { gather } from './scene.ts'
import { requirePosition } from './thoughts.ts'

/** What the rule makes of a snapshot, and why as one line. */
export type Ruled = { readonly proposal: Intent; readonly reason: string }

/**
 * The guardian's deterministic rule with nothing around it: no model, no graph, no store of checkpoints. It is what
 * protects a position when all of these are down.
 *
 * @returns a pure function of the snapshot
 * @throws {InvalidInputError} when the options contradict one another.
 * @example createRule({ ...options, model: null })(snapshot).proposal.kind // 'deleverage'
 */
export function createRule(options: Omit<LendingGuardianOptions, 'model' | 'checkpointer'>) {
  const settings = settle({ ...options, model: null })
  return (snapshot: Snapshot): Ruled => {
    const rest = (reason: string): Ruled => ({ proposal: nothing(snapshot, settings), reason })
    const position = requirePosition(snapshot, settings)
    if (!hasDebt(position)) return rest('there is no debt')
    const scene = gather(snapshot, position, settings)
    if ('obstacle' in scene) return rest(scene.obstacle)
    const { candidate, step } = chooseByRule(scene, enumerateCandidates(scene, settings), settings.thresholds)
    if (step.action === null) return rest('nothing that the protocols would carry out helps')
    return { proposal: step.action, reason: `${candidate.kind}, ${step.size} %` }
  }
}
