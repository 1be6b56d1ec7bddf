import type { Agent } from '../../core/agent.ts'
import { type ApprovalEnd, type ApprovalRecord, signedApproval } from '../../core/approvalRecords.ts'
import { approvalFault } from '../../core/approvals.ts'
import type { IntentRecord } from '../../core/journal.ts'
import type { AllowedPlan } from '../../core/lifecycle.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import { denials } from '../../core/verdict.ts'
import { WAITING } from '../../guards/graduation.ts'
import { judgeEffect } from '../../guards/index.ts'
import { approveByPerson } from '../approve.ts'
import { guardContext } from '../guard.ts'
import type { Runtime } from '../runtime.ts'
import { sayOnce } from '../say.ts'
import { simulateAgain } from '../simulate.ts'
import { driftOf } from './drift.ts'
import { approvalTime } from './time.ts'

/** What is to be done about a request at a head. */
export type Review =
  /** Owners are still asked, or it is approved and waits for something that passes. */
  | { readonly kind: 'held' }
  /** It ended, and its intent with it: the agent decides anew. */
  | { readonly kind: 'expired' | 'void' }
  | { readonly kind: 'allowed'; readonly plan: AllowedPlan }

/**
 * Looks at a waiting request on the newest block: exactly the same plan is simulated again and judged again. One that
 * does not do any more what was shown is void, signed or not, so that nobody is asked about what cannot be.
 *
 * A denial that only says "later" (a halt, an attempt in flight) makes it wait, and so does a base fee above its fees.
 */
export async function reviewRequest(
  runtime: Runtime,
  agent: Agent,
  intent: IntentRecord,
  request: ApprovalRecord,
  snapshot: Snapshot,
): Promise<Review> {
  const { journal, logger } = runtime
  const { block } = snapshot
  const { plan } = request
  const policy = runtime.policyOf(agent.id)

  async function end(kind: Exclude<ApprovalEnd, 'rejected'>, reason: string): Promise<Review> {
    await journal.endApproval(request.id, kind, reason)
    logger.warn({ intent: intent.id, plan: request.id, reason }, `request for approval ${kind}`)
    return { kind }
  }

  const now = await approvalTime(runtime)
  const over =
    now >= request.expiresAt
      ? 'its time was over'
      : block.number >= plan.lastValidBlock
        ? `block ${plan.lastValidBlock} was there, the last that may hold it`
        : null
  if (over !== null)
    return end(
      'expired',
      `${request.signatures.length} of ${request.threshold} owners had signed when ${over}`,
    )
  if (policy.version !== request.policyVersion) return end('void', 'the policy changed')
  const again = await simulateAgain(runtime, plan, snapshot)
  if (!again.ok) return end('void', `it does not run any more: ${again.reason}`)
  const drift = driftOf(request.effects, again.plan.effects, plan, policy)
  if (drift !== null) return end('void', drift)

  // While a person is asked the intent lasts as long as its plan.
  const { expiresAtBlock } = intent.action
  const last = plan.lastValidBlock > expiresAtBlock ? plan.lastValidBlock : expiresAtBlock
  const action = { ...intent.action, expiresAtBlock: last }
  const context = await guardContext(runtime, agent, policy, snapshot, { request })
  const verdict = judgeEffect(context, action, again.asOfNow)
  const denied = denials(verdict)
  const final = denied.find(({ code }) => code === null || !WAITING.has(code))
  if (final !== undefined) return end('void', `the guards deny it now (${final.code}): ${final.message}`)
  if (request.status !== 'approved') return { kind: 'held' }

  const fault = await approvalFault(plan, signedApproval(request), policy.approvals, now)
  if (fault !== null) return end('void', `the approval does not hold: ${fault}`)
  const [first] = denied
  const waitsFor =
    first?.message ??
    (block.baseFeePerGas > plan.maxFeePerGas ? 'The base fee is above what was approved.' : null)
  if (waitsFor !== null) {
    sayOnce(logger, `approved.${request.id}`, 'warn', { plan: request.id, waitsFor }, 'approved, and waits')
    return { kind: 'held' }
  }
  await journal.recordVerdict(intent.id, verdict, 'proposed')
  return { kind: 'allowed', plan: approveByPerson(again.plan, verdict, request) }
}
