import { type AllowedPlan, type SimulatedPlan, sealAllowed } from '../core/lifecycle.ts'
import type { Verdict } from '../core/verdict.ts'
import type { Policy } from '../guards/policy.ts'

/**
 * Lets an allowed plan through to the signer, or holds it back.
 *
 * Only mode `execute` signs on the policy's word alone. In `observe` and `propose`, and above the amount from
 * which the policy asks for a person, the plan stays in the journal as proposed and null is returned.
 */
export function approve(plan: SimulatedPlan, verdict: Verdict, policy: Policy): AllowedPlan | null {
  if (policy.mode !== 'execute' || needsPerson(plan, policy)) return null
  return sealAllowed(plan, verdict, { by: 'policy' })
}

function needsPerson(plan: SimulatedPlan, policy: Policy): boolean {
  const { personAbove } = policy.approvals
  if (personAbove === null) return false
  return plan.effects.equity.before - plan.effects.equity.after > personAbove
}
