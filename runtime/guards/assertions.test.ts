import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { Call } from '../core/lifecycle.ts'
import { MAX_UINT256, tokenAmount, type Wad, wad } from '../core/units.ts'
import { encodeMinBalance, encodeMinHealthFactor, encodeNotAfter } from '../protocols/rialto/encode.ts'
import { assertions } from './assertions.ts'
import { moved, planOf, withHealthFactor } from './guardPlans.fixture.ts'
import {
  at,
  aWeth,
  BLOCK,
  book,
  context,
  ether,
  factor,
  intents,
  owner,
  stranger,
  usdc,
  weth,
} from './guardScene.fixture.ts'

const assert = at(0x53)
const aave = book.aaveV3.pool
const inTime = encodeNotAfter(assert, BLOCK + 3n)
const healthy = (minimum: Wad) => encodeMinHealthFactor(assert, aave, owner, minimum)
const keeps = (amount: bigint) => encodeMinBalance(assert, aWeth, owner, tokenAmount(amount))
const [action] = planOf(intents.withdraw).calls as [Call]
const judge = (intent: Action, calls: readonly Call[], effects = {}) =>
  assertions(context, intent, planOf(intent, { plan: { calls }, effects }))

describe('assertions', () => {
  it('allows what encodeIntent makes of every kind of intent', () => {
    for (const intent of Object.values(intents))
      expect(assertions(context, intent, planOf(intent))).toMatchObject({ allowed: true })
  })

  it('asks for the last valid block of plan and intent, whichever comes first', () => {
    expect(judge(intents.transfer, [action, inTime]).allowed).toBe(true)
    expect(judge(intents.transfer, [action, encodeNotAfter(assert, BLOCK + 4n)])).toMatchObject({
      code: 'ASSERTION_MISSING',
      limit: 'the last valid block 1003',
    })
    expect(judge(intents.transfer, [action])).toMatchObject({ code: 'ASSERTION_MISSING', observed: 'none' })
    const soon = { ...intents.transfer, expiresAtBlock: BLOCK + 2n }
    expect(judge(soon, [action, inTime])).toMatchObject({ code: 'ASSERTION_MISSING' })
  })

  it('does not count an assertion that something follows', () => {
    expect(judge(intents.transfer, [inTime, action])).toMatchObject({ code: 'ASSERTION_MISSING' })
  })

  it('asks for the health factor that a repayment promised', () => {
    const { minHealthFactor } = intents.repay
    const just = healthy(minHealthFactor)
    const short = healthy(wad(minHealthFactor - 1n))
    expect(judge(intents.repay, [action, just, inTime]).allowed).toBe(true)
    expect(judge(intents.repay, [action, short, inTime])).toMatchObject({ code: 'ASSERTION_MISSING' })
    const foreign = encodeMinHealthFactor(assert, aave, stranger, minHealthFactor)
    expect(judge(intents.repay, [action, foreign, inTime]).allowed).toBe(false)
    const elsewhere = encodeMinHealthFactor(assert, stranger, owner, minHealthFactor)
    expect(judge(intents.repay, [action, elsewhere, inTime]).allowed).toBe(false)
  })

  it("asks for the policy's health factor where an intent lowers it, unless no debt is left", () => {
    for (const intent of [intents.withdraw, intents.borrow]) {
      expect(judge(intent, [action, healthy(factor('1.2')), inTime]).allowed).toBe(true)
      expect(judge(intent, [action, healthy(factor('1.19')), inTime])).toMatchObject({
        code: 'ASSERTION_MISSING',
      })
      const free = { ...withHealthFactor('1'), healthFactor: wad(MAX_UINT256) }
      expect(judge(intent, [action, inTime], { position: { before: free, after: free } }).allowed).toBe(true)
    }
  })

  it('asks a deleverage to leave all of the collateral but what it may spend', () => {
    const promise = healthy(intents.deleverage.minHealthFactor)
    const rest = ether('29.95') // of 40, at most 10.05 may be spent
    expect(judge(intents.deleverage, [action, promise, keeps(rest), inTime]).allowed).toBe(true)
    const tolerated = (rest * 9_990n) / 10_000n
    expect(judge(intents.deleverage, [action, promise, keeps(tolerated), inTime]).allowed).toBe(true)
    expect(judge(intents.deleverage, [action, promise, keeps(tolerated - 1n), inTime])).toMatchObject({
      code: 'ASSERTION_MISSING',
    })
    expect(judge(intents.deleverage, [action, promise, inTime]).allowed).toBe(false)
  })

  it('asks for what a swap and a liquidation have to bring', () => {
    for (const [intent, token, minimum] of [
      [intents.swap, usdc, intents.swap.minAmountOut],
      [intents.liquidate, weth, intents.liquidate.minCollateralOut],
    ] as const) {
      const brings = (amount: bigint, of = token) =>
        judge(intent, [action, encodeMinBalance(assert, of, owner, tokenAmount(amount)), inTime], {
          balances: [moved(owner, token, minimum, 7n)],
        })
      expect(brings(7n + minimum).allowed).toBe(true)
      expect(brings(6n + minimum)).toMatchObject({ code: 'ASSERTION_MISSING' })
      expect(brings(7n + minimum, stranger)).toMatchObject({ code: 'ASSERTION_MISSING' })
    }
  })

  it('cannot tell what is left of collateral that was not measured', () => {
    const calls = [action, healthy(intents.deleverage.minHealthFactor), keeps(ether('40')), inTime]
    expect(judge(intents.deleverage, calls, { balances: [moved(owner, null, 0n)] }).allowed).toBe(false)
  })
})
