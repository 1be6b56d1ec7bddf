import { type ApprovalRecord, signedApproval } from '../core/approvalRecords.ts'
import { type AllowedPlan, type SimulatedPlan, sealAllowed } from '../core/lifecycle.ts'
import type { Verdict } from '../core/verdict.ts'

/** Lets a plan through to the signer on the policy's word alone: nobody has to be asked about it. */
export const approveByPolicy = (plan: SimulatedPlan, verdict: Verdict): AllowedPlan =>
  sealAllowed(plan, verdict, { by: 'policy' })

/**
 * Lets a plan through to the signer on the word of its owners, who signed for this very hash.
 *
 * @throws {InvariantError} when the request is about another plan.
 */
export const approveByPerson = (
  plan: SimulatedPlan,
  verdict: Verdict,
  request: ApprovalRecord,
): AllowedPlan =>
  sealAllowed(plan, verdict, { by: 'person', planHash: request.id, signed: signedApproval(request) })
