import { type Address, isAddressEqual } from 'viem'
import type { Action } from '../core/intent.ts'
import type { PoolState } from '../core/snapshot.ts'
import { BPS, mulDiv } from '../core/units.ts'
import { deny, type EffectGuard, notConcerned, rule } from './guard.ts'
import { isRescue } from './standing.ts'
import { changeOf } from './valuation.ts'

/** Uniswap's prices are the square of a number with 96 binary digits after the point. */
const Q192 = 2n ** 192n

/**
 * What the pool gives is not too much less than its price before the swap promised, fee and price impact included.
 * Both amounts are what the pool's own balances changed by.
 */
export const slippagePool: EffectGuard = (context, intent, plan) => {
  const swap = swapOf(intent)
  if (swap === null) return notConcerned(intent.kind)
  const { policy, snapshot } = context
  const maximum = (isRescue(context, intent, plan) ? policy.riskReducing : policy).slippage.pool
  const limit = maximum.toString()
  const pool = snapshot.pools.find((candidate) => isAddressEqual(candidate.address, swap.pool))
  if (pool === undefined || pool.sqrtPriceX96 <= 0n)
    return deny('NOT_JUDGEABLE', {
      limit,
      observed: swap.pool,
      message: `The snapshot does not hold the price of pool ${swap.pool}.`,
    })
  const taken = changeOf(plan, pool.address, swap.tokenIn)
  const given = changeOf(plan, pool.address, swap.tokenOut)
  if (taken === null || given === null || taken <= 0n || given >= 0n)
    return deny('NOT_JUDGEABLE', {
      limit,
      observed: `${taken ?? 'unknown'} in, ${given ?? 'unknown'} out`,
      message: 'The simulation shows no swap in that pool.',
    })
  const promised = atPrice(pool, swap.tokenIn, taken)
  const shortfall = promised > -given ? promised + given : 0n
  const observed = shortfall === 0n ? '0' : mulDiv(shortfall, BPS, promised, 'up').toString()
  return rule(shortfall * BPS <= maximum * promised, 'SLIPPAGE_POOL', {
    limit,
    observed,
    message: `The pool gives ${observed} bps less than its price before; the limit is ${limit} bps.`,
  })
}

type Swap = { readonly pool: Address; readonly tokenIn: Address; readonly tokenOut: Address }

function swapOf(intent: Action): Swap | null {
  if (intent.kind === 'swap') return intent
  if (intent.kind === 'deleverage')
    return { pool: intent.pool, tokenIn: intent.collateral, tokenOut: intent.debt }
  return null
}

/** What an amount would bring at the pool's price, without fee or impact, rounded up. */
function atPrice(pool: PoolState, tokenIn: Address, amount: bigint): bigint {
  const square = pool.sqrtPriceX96 * pool.sqrtPriceX96
  return isAddressEqual(tokenIn, pool.token0)
    ? mulDiv(amount, square, Q192, 'up')
    : mulDiv(amount, Q192, square, 'up')
}
