import type { ApprovalRecord } from '../../core/approvalRecords.ts'
import { unixSeconds } from '../../core/clock.ts'
import type { IntentRecord } from '../../core/journal.ts'
import type { Plan, SimulatedPlan } from '../../core/lifecycle.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import type { Policy } from '../../guards/policy.ts'
import { reservedSpend } from '../measure.ts'
import type { Runtime } from '../runtime.ts'
import { approvalTime } from './time.ts'

/**
 * Seconds, at most, by which an approval ends before the policy has it end: the signer refuses one that ends too late by
 * its own clock, which may be behind this one.
 */
const CLOCK_MARGIN = 30n

/**
 * Asks the owners about a plan, durably. The intent stays proposed, and is looked at again at every head.
 *
 * They are given time by the clock on their wall, which is the signer's, too ({@link approvalTime}). The chain holds the plan to a last block
 * (`patienceOf`), and whichever of the two comes first is the end.
 */
export async function requestApproval(
  runtime: Runtime,
  intent: IntentRecord,
  plan: SimulatedPlan,
  snapshot: Snapshot,
  { approvals, version }: Policy,
): Promise<ApprovalRecord> {
  const requestedAt = unixSeconds(runtime.clock)
  const now = await approvalTime(runtime)
  const seconds = BigInt(approvals.expirySeconds)
  const margin = seconds / 10n < CLOCK_MARGIN ? seconds / 10n : CLOCK_MARGIN
  const record = await runtime.journal.requestApproval({
    id: plan.hash,
    intentId: intent.id,
    agent: intent.agent,
    account: plan.account,
    plan: bare(plan),
    effects: plan.effects,
    policyVersion: version,
    reserved: reservedSpend(plan, plan.effects, snapshot, runtime.book),
    owners: approvals.owners,
    threshold: approvals.threshold,
    requestedAt,
    expiresAt: now + seconds - margin,
  })
  runtime.logger.info(
    { intent: intent.id, plan: record.id, threshold: record.threshold, expiresAt: `${record.expiresAt}` },
    'a person is asked',
  )
  if (now - requestedAt > CLOCK_MARGIN)
    runtime.logger.warn(
      { plan: record.id, aheadSeconds: `${now - requestedAt}` },
      'the signer signed by a clock that was ahead: it counts from there, and so does the end of this request',
    )
  return record
}

/** The plan without what the simulation added to it. */
function bare(plan: SimulatedPlan): Plan {
  const { hash: _hash, effects: _effects, ...rest } = plan
  return rest
}
