import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import { MAX_UINT256, tokenAmount } from '../core/units.ts'
import { encodeApprove } from '../protocols/erc20/encode.ts'
import { planOf } from './guardPlans.fixture.ts'
import { aWeth, book, context, intents, usdc, weth } from './guardScene.fixture.ts'
import { noUnlimitedApproval } from './noUnlimitedApproval.ts'

const judge = (intent: Action, token: typeof weth, amount: bigint) =>
  noUnlimitedApproval(
    context,
    intent,
    planOf(intent, { plan: { calls: [encodeApprove(token, book.aaveV3.pool, tokenAmount(amount))] } }),
  )

const exact: readonly (readonly [Action, typeof weth, bigint])[] = [
  [intents.supply, weth, intents.supply.amount],
  [intents.repay, usdc, intents.repay.amount],
  [intents.swap, weth, intents.swap.amountIn],
  [intents.liquidate, usdc, intents.liquidate.debtToCover],
  [intents.deleverage, aWeth, intents.deleverage.maxCollateralIn],
]

describe('noUnlimitedApproval', () => {
  it.each(exact)('allows exactly what a $kind uses, and not a unit more', (intent, token, amount) => {
    expect(judge(intent, token, amount).allowed).toBe(true)
    expect(judge(intent, token, amount + 1n)).toMatchObject({
      code: 'APPROVAL_UNLIMITED',
      limit: amount.toString(),
      observed: (amount + 1n).toString(),
    })
    expect(judge(intent, token, MAX_UINT256).allowed).toBe(false)
  })

  it('allows to take an approval back, of any token', () => {
    for (const intent of Object.values(intents)) expect(judge(intent, weth, 0n).allowed).toBe(true)
  })

  it('denies the approval of a token that the intent does not spend', () => {
    for (const [intent, token] of [
      [intents.swap, usdc],
      [intents.repay, weth],
      [intents.deleverage, weth],
      [intents.withdraw, weth],
      [intents.borrow, usdc],
      [intents.transfer, usdc],
    ] as const)
      expect(judge(intent, token, 1n)).toMatchObject({ code: 'APPROVAL_UNLIMITED', limit: '0' })
  })
})
