import type { Analysis } from '../../runtime/core/agent.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { formatUsd, formatWad, MAX_UINT256, type Wad } from '../../runtime/core/units.ts'
import type { CandidateKind, FeasibleCandidate, Step } from './candidates.ts'
import type { Choice, FallbackReason } from './choice.ts'
import type { GuardianSettings } from './options.ts'
import type { Scene } from './scene.ts'

/** To leave everything as it is. */
export const nothing = (snapshot: Snapshot, { validForBlocks }: GuardianSettings): Intent => ({
  kind: 'nothing',
  expiresAtBlock: snapshot.block.number + validForBlocks,
})

/** The analysis of a choice: its intent, word for word from the candidates that code enumerated. */
export function proposeChoice(
  scene: Scene,
  candidates: readonly FeasibleCandidate[],
  choice: Choice,
  settings: GuardianSettings,
): Analysis {
  const candidate = candidates.find(({ id }) => id === choice.candidate)
  const step = candidate?.steps.find(({ size }) => size === choice.size)
  if (candidate === undefined || step === undefined)
    throw new InvariantError('The choice is none of the candidates.', {
      candidate: choice.candidate,
      size: choice.size,
    })
  return {
    proposal: step.action ?? nothing(scene.snapshot, settings),
    reason: explain(scene, candidate.kind, step, choice),
    source: choice.source,
    fallbackReason: choice.fallbackReason,
    candidates: candidates.length,
    inferenceCalls: choice.inferenceCalls,
    model: choice.inferenceCalls > 0 ? (settings.model?.name ?? null) : null,
  }
}

const DEEDS: Record<CandidateKind, string> = {
  repay: 'Repay from the wallet',
  deleverage: 'Deleverage through a swap',
  'add-collateral': 'Add collateral from the wallet',
  wait: 'Wait',
}

const FAILURES: Record<FallbackReason, string> = {
  NO_ANSWER: 'the model did not answer',
  LATE: "the model's time was over",
  MODEL_RESTS: 'the model did not answer lately and rests',
  UNREADABLE: "the model's answer could not be read",
  UNKNOWN_CANDIDATE: 'the model named a candidate that there is not',
  SIZE_OUT_OF_BOUNDS: 'the model named a size out of bounds',
  WAIT_UNDER_FLOOR: 'the model would wait under the hard floor',
  OVERHEARD: 'something listens to what the model is asked',
  GRAPH_FAILED: 'the graph could not run',
}

/** One line: what, from where to where, at what cost, and who says so. A model's words are quoted. */
function explain(scene: Scene, kind: CandidateKind, step: Step, choice: Choice): string {
  const what =
    kind === 'wait'
      ? `${DEEDS.wait} at a health factor of ${short(scene.healthFactor)}`
      : `${DEEDS[kind]} (${step.size} %): health factor ${short(scene.healthFactor)} to ` +
        `${short(step.account.healthFactor)} for about ${dollars(step.cost)} dollars`
  if (choice.source === 'model') return `${what}. The model: “${choice.words ?? ''}”`
  if (choice.fallbackReason !== null) return `${what}. By rule: ${FAILURES[choice.fallbackReason]}.`
  return `${what}. By rule.`
}

const short = (value: Wad): string => (value === MAX_UINT256 ? 'infinite' : cut(formatWad(value), 4))
const dollars = (value: bigint): string => cut(formatUsd(value), 2)

/** @example cut('1.069999', 4) // '1.0699' */
function cut(decimal: string, digits: number): string {
  const [whole = '0', fraction = ''] = decimal.split('.')
  return `${whole}.${fraction.padEnd(digits, '0').slice(0, digits)}`
}
