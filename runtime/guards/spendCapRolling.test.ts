import { describe, expect, it } from 'vitest'
import { usd } from '../core/units.ts'
import { planOf } from './guardPlans.fixture.ts'
import { dollars, gweis, intents, seeing, withPast } from './guardScene.fixture.ts'
import { spendCapRolling } from './spendCapRolling.ts'

const spent = (amount: string) => withPast({ spent: dollars(amount) })
/** A plan that spends 100 dollars: 45 on gas at its cap, 55 of equity. */
const plan = (intent: (typeof intents)['swap' | 'repay']) =>
  planOf(intent, {
    plan: { gasLimit: 500_000n, maxFeePerGas: gweis('50') },
    effects: { equity: { before: dollars('10000'), after: usd(dollars('9945')) } },
  })

describe('spendCapRolling', () => {
  it('allows to reach the cap exactly, and not to pass it', () => {
    expect(spendCapRolling(spent('900'), intents.swap, plan(intents.swap))).toMatchObject({
      allowed: true,
      limit: '1000',
      observed: '1000',
    })
    expect(spendCapRolling(spent('900.00000001'), intents.swap, plan(intents.swap))).toMatchObject({
      code: 'SPEND_CAP_ROLLING',
      observed: '1000.00000001',
    })
  })

  it('leaves room for a rescue when ordinary business has used up its own', () => {
    expect(spendCapRolling(spent('4900'), intents.repay, plan(intents.repay)).allowed).toBe(true)
    expect(spendCapRolling(spent('4900.01'), intents.repay, plan(intents.repay)).allowed).toBe(false)
  })

  it('denies without a price of the native coin', () => {
    const blind = seeing({ reserves: [], oracles: [] })
    expect(spendCapRolling(blind, intents.swap, plan(intents.swap))).toMatchObject({ code: 'ORACLE_MISSING' })
  })
})
