import { describe, expect, it } from 'vitest'
import { moved, planOf } from './guardPlans.fixture.ts'
import { at, book, context, intents, owner, pool, stranger, weth } from './guardScene.fixture.ts'
import { tokenKnown } from './tokenKnown.ts'

describe('tokenKnown', () => {
  it('knows everything in the book', () => {
    for (const intent of Object.values(intents)) {
      expect(tokenKnown(context, intent, null).allowed).toBe(true)
      expect(tokenKnown(context, intent, planOf(intent)).allowed).toBe(true)
    }
  })

  it('denies an intent that names a token which is not there', () => {
    for (const intent of [
      { ...intents.supply, asset: stranger },
      { ...intents.swap, tokenOut: stranger },
      { ...intents.deleverage, debt: stranger },
      { ...intents.liquidate, collateral: stranger },
      { ...intents.transfer, asset: stranger },
    ])
      expect(tokenKnown(context, intent, null)).toMatchObject({ code: 'TOKEN_UNKNOWN', observed: stranger })
  })

  it('denies a token that is no reserve where Aave is meant', () => {
    const reserves = book.aaveV3.reserves.filter(({ asset }) => asset !== weth)
    const without = { ...context, book: { ...book, aaveV3: { ...book.aaveV3, reserves } } }
    expect(tokenKnown(without, intents.supply, null)).toMatchObject({ code: 'TOKEN_UNKNOWN' })
    expect(tokenKnown(without, intents.swap, null).allowed).toBe(true)
  })

  it('denies a pool that is not in the book, or trades something else', () => {
    expect(tokenKnown(context, { ...intents.swap, pool: stranger }, null)).toMatchObject({
      code: 'CONTRACT_NOT_ALLOWED',
    })
    expect(tokenKnown(context, { ...intents.swap, tokenOut: weth }, null)).toMatchObject({
      code: 'CONTRACT_NOT_ALLOWED',
    })
    const pools = [{ address: pool, token0: weth, token1: at(0x13), fee: 500 }]
    const other = { ...context, book: { ...book, uniswapV3: { ...book.uniswapV3, pools } } }
    expect(tokenKnown(other, intents.deleverage, null)).toMatchObject({ code: 'CONTRACT_NOT_ALLOWED' })
  })

  it('denies a plan that moves an unknown token in the account, in or out, and no other account', () => {
    const { balances } = planOf(intents.swap).effects
    for (const change of [1n, -1n]) {
      const plan = planOf(intents.swap, {
        effects: { balances: [...balances, moved(owner, stranger, change)] },
      })
      expect(tokenKnown(context, intents.swap, plan)).toMatchObject({ code: 'TOKEN_UNKNOWN' })
    }
    const elsewhere = [
      ...balances,
      moved(pool, stranger, 1n),
      moved(owner, stranger, 0n),
      moved(owner, null, -1n),
    ]
    expect(
      tokenKnown(context, intents.swap, planOf(intents.swap, { effects: { balances: elsewhere } })).allowed,
    ).toBe(true)
  })
})
