import { describe, expect, it } from 'vitest'
import type { TradingState } from '../core/verdict.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { context, intents } from './guardScene.fixture.ts'
import { tradingState } from './tradingState.ts'

const under = (state: TradingState) => ({ ...context, tradingState: state })

describe('tradingState', () => {
  it('lets everything through while active, and nothing while halted', () => {
    for (const intent of Object.values(intents)) {
      expect(tradingState(under('active'), intent, null).allowed).toBe(true)
      expect(tradingState(under('halted'), intent, null)).toMatchObject({ code: 'TRADING_HALTED' })
      expect(tradingState(under('halted'), intent, planOf(intent))).toMatchObject({ code: 'TRADING_HALTED' })
    }
  })

  it('lets only what reduces risk through while reducing', () => {
    for (const intent of [intents.repay, intents.supply, intents.deleverage])
      expect(tradingState(under('reducing'), intent, planOf(intent)).allowed).toBe(true)
    for (const intent of [
      intents.withdraw,
      intents.borrow,
      intents.swap,
      intents.transfer,
      intents.liquidate,
    ])
      expect(tradingState(under('reducing'), intent, null)).toMatchObject({ code: 'TRADING_REDUCING' })
  })

  it('does not believe a repayment that the simulation shows to raise no health factor', () => {
    const plan = planOf(intents.repay, { effects: movingHealthFactor('1.1', '1.1') })
    expect(tradingState(under('reducing'), intents.repay, plan)).toMatchObject({ code: 'TRADING_REDUCING' })
  })

  it('lets risk be reduced above the target too', () => {
    const plan = planOf(intents.repay, { effects: movingHealthFactor('2', '2.1') })
    expect(tradingState(under('reducing'), intents.repay, plan).allowed).toBe(true)
  })

  it('denies in a state that it does not know', () => {
    expect(tradingState(under('paused' as TradingState), intents.repay, null)).toMatchObject({
      code: 'TRADING_HALTED',
    })
  })
})
