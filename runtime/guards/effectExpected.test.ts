import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { BalanceDelta, Effects } from '../core/lifecycle.ts'
import { effectExpected } from './effectExpected.ts'
import { moved, planOf } from './guardPlans.fixture.ts'
import {
  at,
  aWeth,
  context,
  debtUsdc,
  ether,
  gweis,
  intents,
  owner,
  pool,
  stranger,
  usdc,
  usdcs,
  weth,
} from './guardScene.fixture.ts'

const judge = (intent: Action, effects: Partial<Effects> = {}) =>
  effectExpected(context, intent, planOf(intent, { effects }))

/** The expected balances with one of them changed or added. */
const but = (intent: Action, delta: BalanceDelta): { balances: readonly BalanceDelta[] } => {
  const { balances } = planOf(intent).effects
  const rest = balances.filter(({ account, token }) => account !== delta.account || token !== delta.token)
  return { balances: [...rest, delta] }
}

describe('effectExpected', () => {
  it('allows what every kind of intent does', () => {
    for (const intent of Object.values(intents)) expect(judge(intent)).toMatchObject({ allowed: true })
  })

  it('denies a transaction that does nothing: a stale authorisation succeeds in silence', () => {
    for (const intent of Object.values(intents))
      expect(judge(intent, { logCount: 0 })).toMatchObject({ code: 'EFFECT_UNEXPECTED', observed: 'no logs' })
    // With logs of somebody else, but no balance that changes.
    const still = planOf(intents.repay).effects.balances.map((delta) => ({ ...delta, after: delta.before }))
    expect(judge(intents.repay, { balances: still })).toMatchObject({ code: 'EFFECT_UNEXPECTED' })
  })

  it('denies when a stranger receives anything, be it a unit', () => {
    for (const intent of Object.values(intents)) {
      const token = intent.kind === 'liquidate' || intent.kind === 'repay' ? usdc : weth
      if (intent.kind === 'borrow' || intent.kind === 'withdraw' || intent.kind === 'transfer') continue
      const lost = intent.kind === 'deleverage' ? aWeth : token
      expect(judge(intent, but(intent, moved(stranger, lost, 1n)))).toMatchObject({
        code: 'EFFECT_UNEXPECTED',
        observed: stranger,
      })
    }
    expect(judge(intents.swap, but(intents.swap, moved(stranger, usdc, 1n)))).toMatchObject({
      observed: stranger,
    })
    expect(judge(intents.transfer, but(intents.transfer, moved(stranger, null, 1n))).allowed).toBe(false)
  })

  it("lets Aave's treasury take its part of a borrower's collateral, but nothing of the account's", () => {
    expect(judge(intents.liquidate, but(intents.liquidate, moved(at(0x99), aWeth, ether('1')))).allowed).toBe(
      true,
    )
    expect(judge(intents.liquidate, but(intents.liquidate, moved(at(0x99), usdc, 1n))).allowed).toBe(false)
  })

  const bounds: readonly (readonly [what: string, Action, within: BalanceDelta, beyond: BalanceDelta])[] = [
    [
      'a supply takes its amount',
      intents.supply,
      moved(owner, weth, -ether('4')),
      moved(owner, weth, -ether('4') - 1n),
    ],
    [
      'a supply adds it to the collateral, but for dust',
      intents.supply,
      moved(owner, aWeth, ether('4') - 2n),
      moved(owner, aWeth, ether('4') - 3n),
    ],
    [
      'a withdrawal brings no more than its amount',
      intents.withdraw,
      moved(owner, weth, ether('1')),
      moved(owner, weth, ether('1') + 1n),
    ],
    [
      'a withdrawal takes no more of the collateral, but for dust',
      intents.withdraw,
      moved(owner, aWeth, -ether('1') - 2n),
      moved(owner, aWeth, -ether('1') - 3n),
    ],
    [
      'a loan adds no more debt, but for dust',
      intents.borrow,
      moved(owner, debtUsdc, usdcs('500') + 2n),
      moved(owner, debtUsdc, usdcs('500') + 3n),
    ],
    [
      'a loan brings its amount',
      intents.borrow,
      moved(owner, usdc, usdcs('500')),
      moved(owner, usdc, usdcs('500') - 1n),
    ],
    [
      'a repayment takes no more than its amount',
      intents.repay,
      moved(owner, usdc, -1n),
      moved(owner, usdc, -usdcs('10000') - 1n),
    ],
    ['a repayment lowers the debt', intents.repay, moved(owner, debtUsdc, -1n), moved(owner, debtUsdc, 0n)],
    [
      'a deleverage spends no more collateral, but for dust',
      intents.deleverage,
      moved(owner, aWeth, -ether('10.05') - 2n),
      moved(owner, aWeth, -ether('10.05') - 3n),
    ],
    [
      'a deleverage lowers the debt',
      intents.deleverage,
      moved(owner, debtUsdc, -1n),
      moved(owner, debtUsdc, 1n),
    ],
    [
      'a swap gives no more than its amount',
      intents.swap,
      moved(owner, weth, -ether('1')),
      moved(owner, weth, -ether('1') - 1n),
    ],
    [
      'a swap gets its minimum',
      intents.swap,
      moved(owner, usdc, usdcs('1795')),
      moved(owner, usdc, usdcs('1795') - 1n),
    ],
    [
      'a transfer takes its amount',
      intents.transfer,
      moved(owner, usdc, -usdcs('50')),
      moved(owner, usdc, -usdcs('50') - 1n),
    ],
    [
      'a transfer brings it to the recipient',
      intents.transfer,
      moved(at(0xf1), usdc, usdcs('50')),
      moved(at(0xf1), usdc, usdcs('50') - 1n),
    ],
    [
      'a liquidation pays no more than its amount',
      intents.liquidate,
      moved(owner, usdc, -usdcs('18000')),
      moved(owner, usdc, -usdcs('18000') - 1n),
    ],
    [
      'a liquidation brings its minimum',
      intents.liquidate,
      moved(owner, weth, ether('10')),
      moved(owner, weth, ether('10') - 1n),
    ],
  ]
  it.each(bounds)('%s', (_what, intent, within, beyond) => {
    expect(judge(intent, but(intent, within))).toMatchObject({ allowed: true })
    expect(judge(intent, but(intent, beyond))).toMatchObject({ code: 'EFFECT_UNEXPECTED' })
  })

  it('denies any other loss of the account', () => {
    for (const [intent, token, change] of [
      [intents.swap, aWeth, -1n],
      [intents.swap, debtUsdc, 1n],
      [intents.repay, weth, -1n],
      [intents.supply, usdc, -1n],
      [intents.deleverage, weth, -1n],
      [intents.transfer, weth, -1n],
    ] as const)
      expect(judge(intent, but(intent, moved(owner, token, change)))).toMatchObject({
        code: 'EFFECT_UNEXPECTED',
      })
  })

  it('does not mind a gain', () => {
    expect(judge(intents.deleverage, but(intents.deleverage, moved(owner, weth, 5n))).allowed).toBe(true)
    expect(judge(intents.swap, but(intents.swap, moved(owner, debtUsdc, -5n))).allowed).toBe(true)
    expect(judge(intents.deleverage, but(intents.deleverage, moved(pool, weth, ether('11')))).allowed).toBe(
      true,
    )
  })

  it('lets native coin pay for gas, and for nothing else', () => {
    const gas = 500_000n * gweis('50')
    expect(judge(intents.swap, but(intents.swap, moved(owner, null, -gas))).allowed).toBe(true)
    expect(judge(intents.swap, but(intents.swap, moved(owner, null, -gas - 1n)))).toMatchObject({
      code: 'EFFECT_UNEXPECTED',
    })
  })

  it('denies when a balance that it needs was not measured', () => {
    for (const intent of Object.values(intents)) {
      const balances = planOf(intent).effects.balances.filter(({ account }) => account !== owner)
      expect(judge(intent, { balances })).toMatchObject({ code: 'NOT_JUDGEABLE' })
    }
  })
})
