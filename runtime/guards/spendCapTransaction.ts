import { formatUsd } from '../core/units.ts'
import { deny, type EffectGuard, rule } from './guard.ts'
import { isRescue } from './standing.ts'
import { spendOf } from './valuation.ts'

/** The plan spends (equity lost plus gas at the fee cap) no more than one transaction may. */
export const spendCapTransaction: EffectGuard = (context, intent, plan) => {
  const { policy } = context
  const { perTransaction } = isRescue(context, intent, plan) ? policy.riskReducing.spend : policy.spend
  const limit = formatUsd(perTransaction)
  const spend = spendOf(context, plan)
  if (spend === null)
    return deny('ORACLE_MISSING', {
      limit,
      observed: 'unknown',
      message: 'Without a price of the native coin nobody knows what the gas costs.',
    })
  const observed = formatUsd(spend)
  return rule(spend <= perTransaction, 'SPEND_CAP_TRANSACTION', {
    limit,
    observed,
    message: `It spends up to ${observed} dollars; the cap for one transaction is ${limit}.`,
  })
}
