import { InvariantError } from '../../runtime/core/errors.ts'
import type { FeasibleCandidate, Step } from './candidates.ts'
import type { Thresholds } from './options.ts'
import type { Scene } from './scene.ts'

/** A candidate and one of its sizes. */
export type Picked = { readonly candidate: FeasibleCandidate; readonly step: Step }

/**
 * The deterministic rule, which needs no model: protection goes on by it when there is none.
 *
 * At or above the trigger it waits. Under it, it takes the candidate that reaches the target at the least cost,
 * each at the smallest size that does; when nothing reaches the target, the one that ends highest. Equals go to
 * the lower cost, then to the one that stands first. It waits under the trigger only where nothing else is
 * feasible.
 */
export function chooseByRule(
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  thresholds: Thresholds,
): Picked {
  const waiting = candidates.find(({ kind }) => kind === 'wait')
  if (waiting === undefined) throw new InvariantError('Waiting is always a candidate.')
  const acting = candidates.filter(({ kind }) => kind !== 'wait')
  if (scene.healthFactor >= thresholds.trigger || acting.length === 0)
    return { candidate: waiting, step: waiting.steps[0] }

  const reaching = acting.flatMap((candidate): Picked[] => {
    const step = candidate.steps.find(({ account }) => account.healthFactor >= thresholds.target)
    return step === undefined ? [] : [{ candidate, step }]
  })
  if (reaching.length > 0) return best(reaching, cheaper)
  const all = acting.flatMap((candidate) => candidate.steps.map((step) => ({ candidate, step })))
  return best(all, (a, b) => higher(a, b) || cheaper(a, b))
}

/** Negative when `a` is better. */
type Order = (a: Picked, b: Picked) => number

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
const cheaper: Order = (a, b) => compare(a.step.cost, b.step.cost)
const higher: Order = (a, b) => compare(b.step.account.healthFactor, a.step.account.healthFactor)

function best(picks: readonly Picked[], order: Order): Picked {
  // Array.prototype.sort is stable: among equals the first stays first.
  const [first] = picks.toSorted(order)
  if (first === undefined) throw new InvariantError('There is nothing to choose from.')
  return first
}
