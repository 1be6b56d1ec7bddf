import { findPosition } from '../core/snapshot.ts'
import { BPS, formatUsd, mulDiv } from '../core/units.ts'
import { allow, deny, type GuardContext, type IntentGuard } from './guard.ts'
import { isRescue } from './standing.ts'
import { gasCost, worthOf } from './valuation.ts'

/** Equity has not fallen from its peak by as much as the policy stops at. A rescue goes on. */
export const drawdown: IntentGuard = (context, intent, plan) => {
  const { policy, history } = context
  const limit = policy.drawdownStop.toString()
  if (isRescue(context, intent, plan))
    return allow({ limit: 'none', observed: intent.kind, message: 'A rescue has no drawdown stop.' })
  const equity = equityOf(context)
  if (equity === null)
    return deny('NOT_JUDGEABLE', {
      limit,
      observed: 'unknown',
      message: 'The equity of the account is not known: its position or the price of a token is missing.',
    })
  const peak = history.peakEquity
  if (peak === null || peak <= equity)
    return allow({ limit, observed: '0', message: `Equity is at its peak: ${formatUsd(equity)} dollars.` })
  const fall = mulDiv(peak - equity, BPS, peak, 'up')
  const grounds = { limit, observed: fall.toString() }
  const figures = `Equity is ${formatUsd(equity)} dollars, ${fall} bps under its peak`
  return (peak - equity) * BPS < policy.drawdownStop * peak
    ? allow({ ...grounds, message: `${figures}.` })
    : deny('DRAWDOWN', { ...grounds, message: `${figures}; the policy stops at ${limit} bps.` })
}

/** Wallet and position of the account at the snapshot's prices, 8 decimals, below zero if it is; null if any is unknown. */
function equityOf(context: GuardContext): bigint | null {
  const { snapshot, account } = context
  const native = gasCost(context, snapshot.wallet.native)
  if (native === null) return null
  let total: bigint = native
  for (const { token, balance } of snapshot.wallet.tokens) {
    if (balance === 0n) continue
    const worth = worthOf(context, token, balance, 'down')
    if (worth === null) return null
    total += worth
  }
  const position = findPosition(snapshot, account)?.account
  return position === undefined ? null : total + position.totalCollateral - position.totalDebt
}
