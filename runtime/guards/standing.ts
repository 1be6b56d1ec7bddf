import { type Action, isRiskReducing } from '../core/intent.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { findPosition } from '../core/snapshot.ts'
import { MAX_UINT256 } from '../core/units.ts'
import type { GuardContext } from './guard.ts'

/** The health factor before the intent, as measured by the simulation or, without one, as the snapshot has it. */
function healthFactorBefore({ snapshot, account }: GuardContext, plan: SimulatedPlan | null): bigint | null {
  if (plan !== null) return plan.effects.position.before.healthFactor
  return findPosition(snapshot, account)?.account.healthFactor ?? null
}

/**
 * Whether an intent lowers the risk of the account's own position. Before the simulation its word is taken, if
 * there is a debt at all; after it, only a health factor that rose counts.
 */
export function reducesRisk(context: GuardContext, intent: Action, plan: SimulatedPlan | null): boolean {
  if (!isRiskReducing(intent)) return false
  const before = healthFactorBefore(context, plan)
  if (before === null || before === MAX_UINT256) return false
  return plan === null || plan.effects.position.after.healthFactor > before
}

/**
 * Whether the risk-reducing limits hold for an intent: it lowers risk, and the position is below the health factor
 * that a rescue aims at. Above it nothing is in danger, and ordinary limits do; otherwise an agent could burn gas
 * on one needless top-up after another, without a cooldown.
 */
export function isRescue(context: GuardContext, intent: Action, plan: SimulatedPlan | null): boolean {
  const before = healthFactorBefore(context, plan)
  return before !== null && before < context.policy.healthFactor.target && reducesRisk(context, intent, plan)
}
