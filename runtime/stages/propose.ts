import type { Agent, Analysis } from '../core/agent.ts'
import { intentId, type RunId } from '../core/ids.ts'
import { parseIntent } from '../core/intent.ts'
import type { RunRecord } from '../core/journal.ts'
import { plainLine } from '../core/plainLine.ts'
import { type Snapshot, snapshotHash } from '../core/snapshot.ts'
import { accountEquity, healthFactorOf } from './measure.ts'
import type { Runtime } from './runtime.ts'

/** The most characters that a record keeps of an agent's reason: others' words may be in it, and a record is forever. */
const MAX_REASON = 2_000
/** The same of a model's name. */
const MAX_MODEL = 200

/**
 * Validates what the agent proposes and records the decision with its intent, if it has one.
 *
 * The intent's id follows from the run's, and the journal keeps the first decision of a run: a run that is
 * delivered twice has one intent.
 *
 * @throws {InvalidIntentError} when the proposal is no member of the union.
 */
export async function propose(
  runtime: Runtime,
  agent: Agent,
  snapshot: Snapshot,
  analysis: Analysis,
  run: RunId,
): Promise<RunRecord> {
  const intent = parseIntent(analysis.proposal)
  return runtime.journal.decide(
    run,
    {
      snapshotHash: snapshotHash(snapshot),
      intent: intent.kind,
      reason: plainLine(analysis.reason, MAX_REASON),
      source: analysis.source,
      fallbackReason: analysis.fallbackReason,
      candidates: analysis.candidates,
      inferenceCalls: analysis.inferenceCalls,
      model: analysis.model === null ? null : plainLine(analysis.model, MAX_MODEL),
      equity: accountEquity(snapshot, runtime.book, agent.account),
      healthFactor: healthFactorOf(snapshot, agent.account),
    },
    intent.kind === 'nothing' ? null : { id: intentId(run), action: intent },
  )
}
