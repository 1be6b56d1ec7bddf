import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { BalanceDelta } from '../core/lifecycle.ts'
import { tokenAmount } from '../core/units.ts'
import { moved, movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import {
  aWeth,
  context,
  debtUsdc,
  ether,
  intents,
  owner,
  reading,
  seeing,
  snapshot,
  stranger,
  usdc,
  usdcs,
  weth,
} from './guardScene.fixture.ts'
import { slippageOracle } from './slippageOracle.ts'

const judge = (intent: Action, balances: readonly BalanceDelta[], effects = {}, by = context) =>
  slippageOracle(by, intent, planOf(intent, { effects: { balances, ...effects } }))

/** One WETH, worth 1,800 dollars, for so many dollars. */
const swapFor = (got: string) => [moved(owner, weth, -ether('1')), moved(owner, usdc, usdcs(got))]
/** Ten WETH of collateral, worth 18,000 dollars, for so many dollars of debt. */
const deleverageFor = (repaid: string) => [
  moved(owner, aWeth, -ether('10')),
  moved(owner, debtUsdc, -usdcs(repaid)),
]

describe('slippageOracle', () => {
  it('allows a swap that loses exactly the limit, and denies one that loses a unit more', () => {
    expect(judge(intents.swap, swapFor('1791'))).toMatchObject({ allowed: true, limit: '50', observed: '50' })
    expect(judge(intents.swap, swapFor('1790.999999'))).toMatchObject({
      code: 'SLIPPAGE_ORACLE',
      observed: '51',
    })
    expect(judge(intents.swap, swapFor('1900')).allowed).toBe(true)
  })

  it('judges a rescue by its own limit', () => {
    expect(judge(intents.deleverage, deleverageFor('17460')).allowed).toBe(true)
    expect(judge(intents.deleverage, deleverageFor('17459.999999'))).toMatchObject({
      code: 'SLIPPAGE_ORACLE',
    })
  })

  it('judges a deleverage by the ordinary limit when it is no rescue', () => {
    const effects = movingHealthFactor('1.35', '1.6')
    expect(judge(intents.deleverage, deleverageFor('17900'), effects)).toMatchObject({
      code: 'SLIPPAGE_ORACLE',
      limit: '50',
    })
  })

  it('judges a liquidation by what it brings', () => {
    const for18000 = (seized: string) => [
      moved(owner, usdc, -usdcs('18000')),
      moved(owner, weth, ether(seized)),
    ]
    expect(judge(intents.liquidate, for18000('10.5'))).toMatchObject({ allowed: true, observed: '0' })
    expect(judge(intents.liquidate, for18000('9.95')).allowed).toBe(true)
    expect(judge(intents.liquidate, for18000('9.949999'))).toMatchObject({ code: 'SLIPPAGE_ORACLE' })
  })

  it('denies bounds that would let the outcome be worse than the limit, however well it is simulated', () => {
    const fair = swapFor('1800')
    const least = (minAmountOut: string) => ({
      ...intents.swap,
      minAmountOut: tokenAmount(usdcs(minAmountOut)),
    })
    expect(judge(least('1791'), fair).allowed).toBe(true)
    expect(judge(least('1790.999999'), fair)).toMatchObject({ code: 'SLIPPAGE_ORACLE', observed: '51' })
    const most = (maxCollateralIn: bigint) => ({
      ...intents.deleverage,
      repayAmount: tokenAmount(usdcs('17460')),
      maxCollateralIn: tokenAmount(maxCollateralIn),
    })
    expect(judge(most(ether('10')), deleverageFor('17460')).allowed).toBe(true)
    expect(judge(most(ether('10') + 10n ** 10n), deleverageFor('17460'))).toMatchObject({
      code: 'SLIPPAGE_ORACLE',
    })
  })

  it('reports the worse of the two', () => {
    expect(judge(intents.swap, swapFor('1900'))).toMatchObject({ observed: '28' })
    expect(judge(intents.swap, swapFor('1792'))).toMatchObject({ observed: '45' })
  })

  it('counts everything that leaves the account', () => {
    expect(judge(intents.swap, [...swapFor('1791'), moved(owner, aWeth, -1n)]).allowed).toBe(false)
    expect(judge(intents.swap, [...swapFor('1791'), moved(owner, debtUsdc, 1n)]).allowed).toBe(false)
  })

  it('denies what it has no price for when that goes out, and takes it for nothing when it comes in', () => {
    expect(judge(intents.swap, [...swapFor('1800'), moved(owner, stranger, -1n)])).toMatchObject({
      code: 'ORACLE_MISSING',
      observed: stranger,
    })
    const onlyStranger = [moved(owner, weth, -ether('1')), moved(owner, stranger, 10n ** 30n)]
    expect(judge(intents.swap, onlyStranger)).toMatchObject({ code: 'SLIPPAGE_ORACLE', observed: '10000' })
  })

  it('denies when a price is missing', () => {
    const reserves = snapshot.reserves.filter(({ asset }) => asset !== weth)
    const blind = seeing({ reserves, oracles: [reading(usdc, '1')] })
    expect(judge(intents.swap, swapFor('1800'), {}, blind)).toMatchObject({ code: 'ORACLE_MISSING' })
    const noDollar = seeing({
      reserves: snapshot.reserves.filter(({ asset }) => asset !== usdc),
      oracles: [reading(weth, '1800')],
    })
    expect(judge(intents.swap, swapFor('1800'), {}, noDollar).allowed).toBe(false)
  })

  it('denies when nothing changes', () => {
    expect(judge(intents.swap, [])).toMatchObject({ code: 'NOT_JUDGEABLE' })
  })

  it('does not concern what exchanges nothing', () => {
    for (const intent of [intents.supply, intents.withdraw, intents.borrow, intents.repay, intents.transfer])
      expect(judge(intent, []).allowed).toBe(true)
  })
})
