import { type Address, encodeFunctionData } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { Call } from '../core/lifecycle.ts'
import { tokenAmount, wei } from '../core/units.ts'
import { aavePoolActionsAbi } from '../protocols/aave-v3/abi.ts'
import { encodeApprove, encodeTransfer } from '../protocols/erc20/encode.ts'
import { encodeFlashRepay } from '../protocols/rialto/encode.ts'
import { encodeExactInputSingle } from '../protocols/uniswap-v3/encode.ts'
import { planOf } from './guardPlans.fixture.ts'
import { at, aWeth, book, context, intents, owner, pool, stranger, usdc, weth } from './guardScene.fixture.ts'
import { recipients } from './recipients.ts'

const some = tokenAmount(1n)
const judge = (intent: Action, call: Call) =>
  recipients(context, intent, planOf(intent, { plan: { calls: [...planOf(intent).calls, call] } }))
const aave = (
  functionName: 'supply' | 'withdraw' | 'borrow' | 'repay' | 'liquidationCall',
  args: readonly unknown[],
): Call => ({
  to: book.aaveV3.pool,
  value: wei(0n),
  data: encodeFunctionData({ abi: aavePoolActionsAbi, functionName, args } as never),
})
const order = { aave: book.aaveV3.pool, pool, debtAsset: usdc, collateralAsset: weth, aToken: aWeth }

describe('recipients', () => {
  it('allows what encodeIntent makes of every kind of intent', () => {
    for (const intent of Object.values(intents)) {
      expect(recipients(context, intent, null).allowed).toBe(true)
      expect(recipients(context, intent, planOf(intent))).toMatchObject({ allowed: true })
    }
  })

  it('denies a transfer to whom the policy does not name, before anything is simulated', () => {
    expect(recipients(context, { ...intents.transfer, to: stranger }, null)).toMatchObject({
      code: 'RECIPIENT_NOT_ALLOWED',
      observed: stranger,
    })
  })

  const hidden: readonly (readonly [what: string, intent: Action, call: (to: Address) => Call])[] = [
    ['a supply', intents.supply, (to) => aave('supply', [weth, 1n, to, 0])],
    ['a withdrawal', intents.withdraw, (to) => aave('withdraw', [weth, 1n, to])],
    ['a loan', intents.borrow, (to) => aave('borrow', [usdc, 1n, 2n, 0, to])],
    ['a repayment', intents.repay, (to) => aave('repay', [usdc, 1n, 2n, to])],
    [
      'a swap',
      intents.swap,
      (recipient) =>
        encodeExactInputSingle(book.uniswapV3.swapRouter, {
          ...{ tokenIn: weth, tokenOut: usdc, fee: 500, recipient, deadline: 1n },
          ...{ amountIn: some, minAmountOut: some },
        }),
    ],
  ]
  it.each(hidden)('denies %s for somebody else among the calls', (_what, intent, call) => {
    expect(judge(intent, call(owner)).allowed).toBe(true)
    expect(judge(intent, call(stranger))).toMatchObject({ code: 'RECIPIENT_NOT_ALLOWED', observed: stranger })
  })

  it('denies a transfer that the intent does not ask for, even to a recipient of the policy', () => {
    expect(judge(intents.transfer, encodeTransfer(usdc, at(0xf1), some)).allowed).toBe(true)
    expect(judge(intents.swap, encodeTransfer(usdc, at(0xf1), some))).toMatchObject({
      code: 'RECIPIENT_NOT_ALLOWED',
    })
    expect(judge(intents.transfer, encodeTransfer(usdc, stranger, some)).allowed).toBe(false)
  })

  it('denies to approve anyone but the contracts of the book that spend', () => {
    for (const spender of [book.aaveV3.pool, book.uniswapV3.swapRouter, at(0x52)])
      expect(judge(intents.swap, encodeApprove(weth, spender, some)).allowed).toBe(true)
    for (const spender of [stranger, owner, pool, book.multicall3, at(0x53)])
      expect(judge(intents.swap, encodeApprove(weth, spender, some))).toMatchObject({
        code: 'RECIPIENT_NOT_ALLOWED',
      })
  })

  it('denies a liquidation of somebody else than the intent names', () => {
    const of = (user: Address) => aave('liquidationCall', [weth, usdc, user, 1n, false])
    expect(judge(intents.liquidate, of(intents.liquidate.user)).allowed).toBe(true)
    expect(judge(intents.liquidate, of(owner)).allowed).toBe(false)
    expect(judge(intents.repay, of(intents.liquidate.user)).allowed).toBe(false)
  })

  it('denies a flash repayment through any contract that is not the one meant', () => {
    const amounts = { repayAmount: some, maxCollateral: some }
    const flash = (changes: Partial<typeof order>) =>
      judge(intents.deleverage, encodeFlashRepay(at(0x52), { ...order, ...amounts, ...changes }))
    expect(flash({}).allowed).toBe(true)
    expect(flash({ aave: stranger }).allowed).toBe(false)
    expect(flash({ pool: stranger }).allowed).toBe(false)
    expect(flash({ aToken: stranger }).allowed).toBe(false)
    expect(judge(intents.swap, encodeFlashRepay(at(0x52), { ...order, ...amounts })).allowed).toBe(false)
  })
})
