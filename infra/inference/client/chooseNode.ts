import { costOf } from '../protocol/network/price.ts'
import { type Privacy, satisfiesPrivacy } from '../protocol/network/privacy.ts'
import type { Candidate } from './catalogue.ts'
import type { AskedFor } from './readFetch.ts'
import { refuse } from './refusals.ts'

/** How many of the latest requests an operator's share is a share of. */
const windowLength = 100

/** Which operators the latest requests went to. */
export class OperatorWindow {
  readonly #latest: string[] = []
  readonly #share: number

  /** @param share over 0 and up to 1 */
  constructor(share: number) {
    this.#share = share
  }

  /**
   * Whether one more request may go to an operator: its part of the latest requests, this one counted, stays within the
   * share, rounded up to whole requests.
   */
  allows(operator: string): boolean {
    if (this.#share >= 1) return true
    const others = this.#latest.slice(-(windowLength - 1))
    const own = others.filter((each) => each === operator).length
    return own + 1 <= Math.ceil(this.#share * (others.length + 1))
  }

  /** Enters a request, as soon as its operator is chosen: those that fail have shown a prompt all the same. */
  enter(operator: string): void {
    this.#latest.push(operator)
    if (this.#latest.length > windowLength) this.#latest.shift()
  }
}

/**
 * The nodes that may answer a request.
 *
 * @param parameters.tried names of nodes that failed it already
 * @throws {PrivateNetworkError} `model_not_found`, `not_served`, `privacy_unavailable`, `context_length_exceeded`,
 * `no_node` or `operator_share`: why there is none
 */
export function eligibleNodes(
  candidates: readonly Candidate[],
  parameters: {
    readonly asked: AskedFor
    readonly privacy: Privacy
    readonly tried: ReadonlySet<string>
    readonly operators: Pick<OperatorWindow, 'allows'>
  },
): readonly Candidate[] {
  let left = candidates
  for (const [code, keeps] of stepsOf(parameters)) {
    left = left.filter(keeps)
    if (left.length === 0) throw refuse(code)
  }
  return left
}

/** What a request asks of a node. */
type Wants = Parameters<typeof eligibleNodes>[1]

/** Whether a node may answer a request if only its attestation holds: then it is worth verifying. */
export function isWorthVerifying(candidate: Candidate, parameters: Wants): boolean {
  const proven: Candidate = { ...candidate, privacy: candidate.offered.privacy, refused: null }
  return stepsOf(parameters).every(([, keeps]) => keeps(proven))
}

/** One condition after the other, with the refusal where no node is left of it. */
function stepsOf({ asked, privacy, tried, operators }: Wants) {
  const kind = asked.resource === '/v1/embeddings' ? 'embeddings' : 'chat'
  return [
    ['model_not_found', (each: Candidate) => each.model === asked.model],
    ['not_served', (each: Candidate) => each.serves.includes(kind)],
    ['privacy_unavailable', (each: Candidate) => satisfiesPrivacy({ asked: privacy, offered: each.privacy })],
    [
      'context_length_exceeded',
      (each: Candidate) => each.context === null || asked.prompt.likely <= each.context,
    ],
    ['no_node', (each: Candidate) => each.refused === null && !tried.has(each.node)],
    ['operator_share', (each: Candidate) => operators.allows(each.operator)],
  ] as const
}

/** Milliseconds that a node is reckoned with before anything was measured of it. */
const unmeasuredMs = 500
/** So that between nodes that answer at once the time does not decide. */
const flatMs = 100

/**
 * How likely a node is chosen, beside others: less the longer it takes, the more often it fails and the more the
 * request costs there at worst. None is ever out of the question, so that a node that recovered is found again.
 */
export function weightOf(candidate: Candidate, asked: AskedFor): number {
  const { firstByteMs, errorPercent, price, context } = candidate
  const completion = Math.min(asked.maxTokens ?? 256, context ?? 256)
  const speed = 1 / (flatMs + (firstByteMs ?? unmeasuredMs))
  const success = Math.max(0.01, (1 - (errorPercent ?? 0) / 100) ** 2)
  return (speed * success) / (1 + costOf(price, { prompt: asked.prompt.likely, completion }))
}

/**
 * Draws one node by its weight. A fixed choice of the best would send every request of everybody to one operator.
 *
 * @param random from 0 up to 1
 */
export function drawNode(candidates: readonly Candidate[], asked: AskedFor, random: () => number): Candidate {
  const weights = candidates.map((each) => weightOf(each, asked))
  let left = random() * weights.reduce((sum, each) => sum + each, 0)
  for (const [index, candidate] of candidates.entries()) {
    left -= weights[index] ?? 0
    if (left < 0) return candidate
  }
  const last = candidates.at(-1)
  if (last === undefined) throw refuse('no_node')
  return last
}
