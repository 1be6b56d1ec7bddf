import { describe, expect, it } from 'vitest'
import { planOf } from './guardPlans.fixture.ts'
import { at, book, context, intents, owner, stranger, usdc, weth } from './guardScene.fixture.ts'
import { noLeftoverAllowance } from './noLeftoverAllowance.ts'

const allowance = (holder: typeof owner, spender: typeof owner, after: bigint) => ({
  ...{ token: weth, owner: holder, spender, before: 0n, after },
})
const router = book.uniswapV3.swapRouter
const judge = (...allowances: readonly ReturnType<typeof allowance>[]) =>
  noLeftoverAllowance(context, intents.swap, planOf(intents.swap, { effects: { allowances } }))

describe('noLeftoverAllowance', () => {
  it('allows when every allowance ends at zero', () => {
    for (const intent of Object.values(intents))
      expect(noLeftoverAllowance(context, intent, planOf(intent)).allowed).toBe(true)
  })

  it('denies a single unit that is left, of the account or of our contracts', () => {
    for (const holder of [owner, at(0x51), at(0x52), at(0x53)])
      expect(judge(allowance(owner, router, 0n), allowance(holder, stranger, 1n))).toMatchObject({
        code: 'APPROVAL_LEFT_OVER',
        observed: '1',
      })
  })

  it('does not mind what others allow one another', () => {
    expect(judge(allowance(owner, router, 0n), allowance(stranger, router, 1n)).allowed).toBe(true)
  })

  it('denies when what is left of an approval was not measured', () => {
    expect(judge()).toMatchObject({ code: 'NOT_JUDGEABLE' })
    expect(judge({ ...allowance(owner, router, 0n), token: usdc })).toMatchObject({ code: 'NOT_JUDGEABLE' })
    expect(judge(allowance(owner, stranger, 0n))).toMatchObject({ code: 'NOT_JUDGEABLE' })
  })
})
