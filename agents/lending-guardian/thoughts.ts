import type { Analysis } from '../../runtime/core/agent.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { findPosition, type PositionState, type Snapshot } from '../../runtime/core/snapshot.ts'
import { askModel } from './ask.ts'
import { enumerateCandidates, type FeasibleCandidate } from './candidates.ts'
import { type Choice, cleanReason, type FallbackReason } from './choice.ts'
import { chooseByRule, type Picked } from './fallback.ts'
import type { GuardianSettings } from './options.ts'
import { pickWay } from './positionClass.ts'
import { proposeChoice } from './propose.ts'
import { gather, type Scene } from './scene.ts'
import type { Answer, Situation } from './schema.ts'
import { describeSituation } from './situation.ts'
import type { GuardianStateValue, Progress } from './state.ts'

/** The steps of thinking themselves: what the nodes of the graph do, and what is left when it cannot run. */
export type Thoughts = ReturnType<typeof createThoughts>

/** How many blocks a model that gave no answer in time is not asked again. */
const REST_BLOCKS = 10n

export function createThoughts(settings: GuardianSettings) {
  const { model, thresholds } = settings
  /**
   * A model that hangs costs its whole time-out in every block of a crash, when time is what there is least of. So
   * it rests, and the rule acts at once meanwhile.
   */
  let modelRestsUntil = 0n

  /** @throws {InvariantError} when the snapshot is not one that a run can be about. */
  function scene(snapshot: Snapshot): Scene {
    const found = gather(snapshot, requirePosition(snapshot, settings), settings)
    if ('obstacle' in found)
      throw new InvariantError('A run was resumed on another snapshot than its own.', found)
    return found
  }

  /** What of its state a resumed run has lost, made anew. */
  function recall(state: Partial<GuardianStateValue>, snapshot: Snapshot) {
    const found = state.scene ?? scene(snapshot)
    return { scene: found, candidates: state.candidates ?? enumerateCandidates(found, settings) }
  }

  function byRule(
    of: Scene,
    candidates: readonly FeasibleCandidate[],
    fallbackReason: FallbackReason | null,
    inferenceCalls: number,
  ): Choice {
    const { candidate, step } = chooseByRule(of, candidates, thresholds)
    const source = fallbackReason === null ? 'rule' : 'fallback'
    return { candidate: candidate.id, size: step.size, source, fallbackReason, words: null, inferenceCalls }
  }

  const needsModel = (candidates: readonly FeasibleCandidate[]): boolean =>
    model !== null && candidates.some(({ kind }) => kind !== 'wait')

  async function ask(
    of: Scene,
    candidates: readonly FeasibleCandidate[],
    signal: AbortSignal,
    progress: Progress,
  ): Promise<Choice> {
    if (model === null) return byRule(of, candidates, null, 0)
    const { number } = of.snapshot.block
    if (number < modelRestsUntil) return byRule(of, candidates, 'MODEL_RESTS', progress.inferenceCalls)
    const situation = describeSituation(of, candidates, settings)
    // There may be something to do that is too little to be told of, or no way left to the target.
    if (situation.candidates.length === 1) return byRule(of, candidates, null, progress.inferenceCalls)
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(settings.modelTimeout)])
    const asked = await askModel(model.chat, situation, deadline, () => {
      progress.inferenceCalls++
    })
    if (asked === 'LATE' || asked === 'NO_ANSWER') modelRestsUntil = number + REST_BLOCKS
    const { inferenceCalls } = progress
    if (typeof asked === 'string') progress.choice = byRule(of, candidates, asked, inferenceCalls)
    else {
      const { candidate, step } = carryOut(of, situation, asked, candidates)
      const words = cleanReason(asked.reason)
      progress.choice = {
        candidate: candidate.id,
        size: step.size,
        source: 'model',
        fallbackReason: null,
        words,
        inferenceCalls,
      }
    }
    return progress.choice
  }

  /** What an answer in the coarse terms of its situation is in exact ones. */
  function carryOut(
    of: Scene,
    { healthFactor, candidates: shown }: Situation,
    { candidate: id, size }: Answer,
    candidates: readonly FeasibleCandidate[],
  ): Picked {
    const kind = shown.find((candidate) => candidate.id === id)?.kind
    const waiting = candidates.find((candidate) => candidate.kind === 'wait')
    const picked =
      kind === 'wait'
        ? waiting && { candidate: waiting, step: waiting.steps[0] }
        : pickWay(of, candidates, size, healthFactor, thresholds.target)
    if (picked === undefined || picked === null)
      throw new InvariantError('The situation holds what is not feasible.', { kind, size })
    return picked
  }

  const propose = (of: Scene, candidates: readonly FeasibleCandidate[], choice: Choice | null): Analysis =>
    proposeChoice(of, candidates, choice ?? byRule(of, candidates, null, 0), settings)

  return { scene, recall, byRule, needsModel, ask, propose }
}

/** @throws {InvariantError} when the snapshot lacks what the guardian watches. */
export function requirePosition(
  snapshot: Snapshot,
  { account }: Pick<GuardianSettings, 'account'>,
): PositionState {
  const position = findPosition(snapshot, account)
  if (position === undefined)
    throw new InvariantError('The snapshot lacks the position that the guardian asked for.', { account })
  return position
}
