import type { Address } from 'viem'
import type { Action } from '../core/intent.ts'
import { BPS, type Bps, mulDiv } from '../core/units.ts'
import { deny, type EffectGuard, type GuardContext, notConcerned, type Ruling, rule } from './guard.ts'
import { isRescue } from './standing.ts'
import { type Exchange, exchangeOf, worthOf } from './valuation.ts'

/**
 * What the account gets is worth, at oracle prices, not too much less than what it gives: neither as measured over
 * every balance of the account (a debt that is repaid is got, collateral that is sold is given), nor at the worst
 * price that the intent's own bounds leave to whoever moves the pool before it is mined.
 */
export const slippageOracle: EffectGuard = (context, intent, plan) => {
  if (intent.kind !== 'swap' && intent.kind !== 'deleverage' && intent.kind !== 'liquidate')
    return notConcerned(intent.kind)
  const { policy } = context
  const maximum = (isRescue(context, intent, plan) ? policy.riskReducing : policy).slippage.oracle
  const measured = judge('As simulated', exchangeOf(context, plan), maximum)
  const bound = boundOf(context, intent)
  if (!measured.allowed || bound === null) return measured
  const worst = judge('At its own bounds', bound, maximum)
  return worst.allowed && BigInt(worst.observed) < BigInt(measured.observed) ? measured : worst
}

function judge(when: string, exchange: Exchange | { readonly unpriced: Address }, maximum: Bps): Ruling {
  const limit = maximum.toString()
  if ('unpriced' in exchange)
    return deny('ORACLE_MISSING', {
      limit,
      observed: exchange.unpriced,
      message: `${exchange.unpriced} leaves the account, and nothing says what it is worth.`,
    })
  const { given, got } = exchange
  if (given === 0n && got === 0n)
    return deny('NOT_JUDGEABLE', {
      limit,
      observed: 'nothing',
      message: 'No balance of the account changes.',
    })
  const loss = given > got ? given - got : 0n
  const observed = loss === 0n ? '0' : mulDiv(loss, BPS, given, 'up').toString()
  return rule(loss * BPS <= maximum * given, 'SLIPPAGE_ORACLE', {
    limit,
    observed,
    message: `${when}, it loses ${observed} bps against the oracle; the limit is ${limit} bps.`,
  })
}

/**
 * The worst exchange that the intent lets happen; null for a liquidation, whose price is the oracle's own. An
 * amount that has no price makes it unknown.
 */
function boundOf(context: GuardContext, intent: Action): Exchange | { readonly unpriced: Address } | null {
  if (intent.kind !== 'swap' && intent.kind !== 'deleverage') return null
  const [tokenIn, most, tokenOut, least] =
    intent.kind === 'swap'
      ? [intent.tokenIn, intent.amountIn, intent.tokenOut, intent.minAmountOut]
      : [intent.collateral, intent.maxCollateralIn, intent.debt, intent.repayAmount]
  const given = worthOf(context, tokenIn, most, 'up')
  const got = worthOf(context, tokenOut, least, 'down')
  if (given === null) return { unpriced: tokenIn }
  if (got === null) return { unpriced: tokenOut }
  return { given, got }
}
