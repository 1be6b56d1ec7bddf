import { describe, expect, it } from 'vitest'
import type { PoolState } from '../core/snapshot.ts'
import { moved, planOf } from './guardPlans.fixture.ts'
import {
  context,
  ether,
  intents,
  owner,
  pool,
  seeing,
  snapshot,
  usdc,
  usdcs,
  weth,
} from './guardScene.fixture.ts'
import { slippagePool } from './slippagePool.ts'

const [state] = snapshot.pools as [PoolState]
/** A pool at exactly one quarter: token1's unit is worth four of token0's. */
const quarter = seeing({ pools: [{ ...state, sqrtPriceX96: 2n ** 95n }] })
const through = (tokenIn: typeof weth, taken: bigint, given: bigint) => {
  const tokenOut = tokenIn === weth ? usdc : weth
  const intent = { ...intents.swap, tokenIn, tokenOut }
  const balances = [moved(pool, tokenIn, taken), moved(pool, tokenOut, -given)]
  return slippagePool(quarter, intent, planOf(intents.swap, { effects: { balances } }))
}

describe('slippagePool', () => {
  it('allows what every kind of intent does', () => {
    for (const intent of Object.values(intents))
      expect(slippagePool(context, intent, planOf(intent))).toMatchObject({ allowed: true })
  })

  it('allows exactly the limit under the price before, and denies a unit more, in both directions', () => {
    expect(through(weth, 400_000n, 99_500n)).toMatchObject({ allowed: true, limit: '50', observed: '50' })
    expect(through(weth, 400_000n, 99_499n)).toMatchObject({ code: 'SLIPPAGE_POOL', observed: '51' })
    expect(through(usdc, 100_000n, 398_000n)).toMatchObject({ allowed: true, observed: '50' })
    expect(through(usdc, 100_000n, 397_999n)).toMatchObject({ code: 'SLIPPAGE_POOL' })
    expect(through(weth, 400_000n, 200_000n)).toMatchObject({ allowed: true, observed: '0' })
  })

  it('judges a rescue by its own limit', () => {
    const giving = (repaid: string) =>
      slippagePool(
        context,
        intents.deleverage,
        planOf(intents.deleverage, {
          effects: { balances: [moved(pool, weth, ether('10')), moved(pool, usdc, -usdcs(repaid))] },
        }),
      )
    expect(giving('17460.001').allowed).toBe(true)
    expect(giving('17459.99')).toMatchObject({ code: 'SLIPPAGE_POOL', limit: '300' })
  })

  it('denies when the pool was not read or shows no swap', () => {
    const plan = planOf(intents.swap)
    expect(slippagePool(seeing({ pools: [] }), intents.swap, plan)).toMatchObject({ code: 'NOT_JUDGEABLE' })
    const empty = seeing({ pools: [{ ...state, sqrtPriceX96: 0n }] })
    expect(slippagePool(empty, intents.swap, plan)).toMatchObject({ code: 'NOT_JUDGEABLE' })
    for (const balances of [
      [],
      [moved(pool, weth, 1n)],
      [moved(pool, usdc, -1n)],
      [moved(pool, weth, 0n), moved(pool, usdc, -1n)],
      [moved(pool, weth, 1n), moved(pool, usdc, 0n)],
      [moved(pool, weth, -1n), moved(pool, usdc, 1n)],
      [moved(owner, weth, 1n), moved(owner, usdc, -1n)],
    ])
      expect(
        slippagePool(context, intents.swap, planOf(intents.swap, { effects: { balances } })),
      ).toMatchObject({
        code: 'NOT_JUDGEABLE',
      })
  })
})
