import { formatUsd } from '../core/units.ts'
import { deny, type EffectGuard, rule } from './guard.ts'
import { isRescue } from './standing.ts'
import { spendOf } from './valuation.ts'

/**
 * What was spent within the window, what is still in flight and what the plan spends stay together under the rolling
 * cap. A rescue has a higher cap on the same sum, so ordinary business can never use up what a rescue needs.
 */
export const spendCapRolling: EffectGuard = (context, intent, plan) => {
  const { policy, history } = context
  const { rolling } = isRescue(context, intent, plan) ? policy.riskReducing.spend : policy.spend
  const limit = formatUsd(rolling)
  const spend = spendOf(context, plan)
  if (spend === null)
    return deny('ORACLE_MISSING', {
      limit,
      observed: 'unknown',
      message: 'Without a price of the native coin nobody knows what the gas costs.',
    })
  const total = history.spent + spend
  const observed = formatUsd(total)
  return rule(total <= rolling, 'SPEND_CAP_ROLLING', {
    limit,
    observed,
    message: `With ${formatUsd(history.spent)} dollars spent before, it comes to ${observed}; the cap for ${policy.spend.windowSeconds} s is ${limit}.`,
  })
}
