import { describe, expect, it } from 'vitest'
import { usd } from '../core/units.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { context, dollars, gweis, intents, seeing } from './guardScene.fixture.ts'
import { spendCapTransaction } from './spendCapTransaction.ts'

/** A plan whose gas is worth 45 dollars at its cap (0.025 ETH at 1,800), and that loses so much besides. */
const losing = (intent: (typeof intents)['swap' | 'repay'], loss: string, effects = {}) =>
  planOf(intent, {
    plan: { gasLimit: 500_000n, maxFeePerGas: gweis('50') },
    effects: {
      equity: { before: dollars('10000'), after: usd(dollars('10000') - dollars(loss)) },
      ...effects,
    },
  })

describe('spendCapTransaction', () => {
  it('allows a spend of exactly the cap, gas included, and not a hundred-millionth more', () => {
    expect(spendCapTransaction(context, intents.swap, losing(intents.swap, '155'))).toMatchObject({
      allowed: true,
      limit: '200',
      observed: '200',
    })
    expect(spendCapTransaction(context, intents.swap, losing(intents.swap, '155.00000001'))).toMatchObject({
      code: 'SPEND_CAP_TRANSACTION',
      observed: '200.00000001',
    })
  })

  it('does not let a gain pay for gas', () => {
    const gaining = planOf(intents.swap, {
      plan: { gasLimit: 2_300_000n, maxFeePerGas: gweis('50') },
      effects: { equity: { before: dollars('10000'), after: dollars('20000') } },
    })
    expect(spendCapTransaction(context, intents.swap, gaining)).toMatchObject({
      allowed: false,
      observed: '207',
    })
  })

  it('has a higher cap for a rescue, and only for one', () => {
    expect(spendCapTransaction(context, intents.repay, losing(intents.repay, '1955')).allowed).toBe(true)
    expect(spendCapTransaction(context, intents.repay, losing(intents.repay, '1955.00000001')).allowed).toBe(
      false,
    )
    const none = losing(intents.repay, '155.00000001', movingHealthFactor('1.1', '1.1'))
    expect(spendCapTransaction(context, intents.repay, none)).toMatchObject({ code: 'SPEND_CAP_TRANSACTION' })
  })

  it('denies without a price of the native coin', () => {
    const blind = seeing({ reserves: [], oracles: [] })
    expect(spendCapTransaction(blind, intents.swap, losing(intents.swap, '0'))).toMatchObject({
      code: 'ORACLE_MISSING',
    })
  })
})
