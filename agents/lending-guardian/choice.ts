import { plainLine } from '../../runtime/core/plainLine.ts'
import type { Answer, Situation } from './schema.ts'

/** Why a model's answer was not used. Programs match on these; never rename one. */
const fallbackReasons = [
  /** The server could not be reached, failed, or broke the connection. */
  'NO_ANSWER',
  /** The model's or the run's time was over. */
  'LATE',
  /** It gave no answer some blocks ago, and is not asked again for a while. */
  'MODEL_RESTS',
  /** The answer is not what was asked for: no JSON, other JSON, or a refusal. */
  'UNREADABLE',
  /** It names a candidate that there is not. */
  'UNKNOWN_CANDIDATE',
  /** Its size lies outside the candidate's bounds. */
  'SIZE_OUT_OF_BOUNDS',
  /** It would wait under the hard floor. */
  'WAIT_UNDER_FLOOR',
  /** Something listens to what the model is asked, so it was not asked. */
  'OVERHEARD',
  /** The graph could not run: the store of its checkpoints failed. */
  'GRAPH_FAILED',
] as const

export type FallbackReason = (typeof fallbackReasons)[number]

/**
 * What was chosen, by whom and why. This is all of an exchange with a model that outlives it: neither the prompt
 * nor the completion is kept.
 */
export type Choice = {
  /** The candidate's id. */
  readonly candidate: string
  /** Per cent of its maximum, the exact step. */
  readonly size: number
  readonly source: 'model' | 'fallback' | 'rule'
  /** Set exactly when `source` is `fallback`. */
  readonly fallbackReason: FallbackReason | null
  /** The model's reason, cleaned by {@link cleanReason}; null unless `source` is `model`. */
  readonly words: string | null
  /** Calls made to the model. */
  readonly inferenceCalls: number
}

/**
 * Whether an answer can be used.
 *
 * A health factor that is under the floor only by less than its rounding counts as under it: the situation's is
 * rounded down.
 *
 * @returns why not, or null
 */
export function judgeAnswer(situation: Situation, answer: Answer): FallbackReason | null {
  const candidate = situation.candidates.find(({ id }) => id === answer.candidate)
  if (candidate === undefined) return 'UNKNOWN_CANDIDATE'
  const [least, most] = candidate.sizeBounds
  if (!Number.isInteger(answer.size) || answer.size < least || answer.size > most) return 'SIZE_OUT_OF_BOUNDS'
  if (candidate.kind === 'wait' && situation.healthFactor < situation.hardFloor) return 'WAIT_UNDER_FLOOR'
  return null
}

/** The most characters of a model's reason that are kept. */
export const MAX_REASON_LENGTH = 280

/**
 * A model's reason, fit for a record: one line without control, formatting and unassigned characters (which could
 * drive a terminal or turn text around), without the quotation marks that it will be put in, and cut to
 * {@link MAX_REASON_LENGTH} characters.
 *
 * @example cleanReason('Falling\nfast \u001b[31m!') // 'Falling fast [31m!'
 */
export function cleanReason(text: string): string {
  // Cut first as well: a completion can be megabytes, and only its beginning can be kept.
  const start = text.slice(0, 4 * MAX_REASON_LENGTH).replaceAll(/["“”„«»]/g, "'")
  return plainLine(start, MAX_REASON_LENGTH)
}
