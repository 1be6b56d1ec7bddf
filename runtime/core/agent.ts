import type { Address } from 'viem'
import type { AgentId, RunId } from './ids.ts'
import type { Intent } from './intent.ts'
import type { Snapshot, WatchList } from './snapshot.ts'

/** Who chose: no one had to (`quiet`), code alone (`rule`), the model, or code because the model failed. */
export type DecisionSource = 'quiet' | 'rule' | 'model' | 'fallback'

/** What an agent made of a snapshot. */
export type Analysis = {
  /** Unvalidated: the propose stage parses it. */
  readonly proposal: Intent
  /** One line for a person. Text of a model is quoted, bounded in length and free of control characters. */
  readonly reason: string
  readonly source: DecisionSource
  /** Why the model's answer was not used; set exactly when `source` is `fallback`. */
  readonly fallbackReason: string | null
  /** Feasible candidates that were weighed. */
  readonly candidates: number
  /** Calls made to a model, failed ones included. */
  readonly inferenceCalls: number
  readonly model: string | null
}

export type AnalyseContext = {
  readonly runId: RunId
  /** Names the run across epochs: what an agent keeps of its thinking (checkpoints) is kept under it. */
  readonly threadId: string
  /** Aborts when the run's time is over. An agent that is aborted still answers, by its deterministic rule. */
  readonly signal: AbortSignal
}

/**
 * An agent: eyes (what it watches) and a mind (what it proposes).
 *
 * Musts:
 * - `analyse` is a function of the snapshot and the model's answers alone: no clock, no chain, no randomness.
 * - It never throws for what a model did: it falls back to its deterministic rule and says so.
 * - It holds no key and no client of a chain.
 */
export type Agent = {
  readonly id: AgentId
  /** The account whose money it moves. */
  readonly account: Address
  /** What it wants to see; asked anew for each run. */
  watch(): WatchList
  analyse(snapshot: Snapshot, context: AnalyseContext): Promise<Analysis>
}
