import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import { MAX_UINT256, wad } from '../core/units.ts'
import { planOf, withHealthFactor } from './guardPlans.fixture.ts'
import { context, factor, intents } from './guardScene.fixture.ts'
import { healthFactorFloor } from './healthFactorFloor.ts'

const judge = (intent: Action, before: bigint, after: bigint) =>
  healthFactorFloor(
    context,
    intent,
    planOf(intent, {
      effects: {
        position: {
          before: { ...withHealthFactor('1'), healthFactor: wad(before) },
          after: { ...withHealthFactor('1'), healthFactor: wad(after) },
        },
      },
    }),
  )

describe('healthFactorFloor', () => {
  it('lets an ordinary intent end exactly at the minimum, and not below', () => {
    for (const intent of [
      intents.withdraw,
      intents.borrow,
      intents.swap,
      intents.transfer,
      intents.liquidate,
    ]) {
      expect(judge(intent, factor('1.3'), factor('1.2')).allowed).toBe(true)
      expect(judge(intent, factor('1.3'), factor('1.2') - 1n)).toMatchObject({
        code: 'HEALTH_FACTOR_FLOOR',
        limit: '1.2',
        observed: '1.199999999999999999',
      })
    }
  })

  it('denies an ordinary intent below the minimum even when nothing changes', () => {
    expect(judge(intents.swap, factor('1.1'), factor('1.1'))).toMatchObject({ code: 'HEALTH_FACTOR_FLOOR' })
  })

  it('wants a rescue to raise the health factor', () => {
    for (const intent of [intents.repay, intents.supply, intents.deleverage])
      for (const after of [factor('1.5'), factor('1.5') - 1n])
        expect(judge(intent, factor('1.5'), after)).toMatchObject({ code: 'HEALTH_FACTOR_NOT_IMPROVED' })
    expect(judge(intents.supply, factor('1.5'), factor('1.5') + 1n).allowed).toBe(true)
  })

  it('wants a rescue to keep its promise', () => {
    expect(judge(intents.repay, factor('1.1'), factor('1.4')).allowed).toBe(true)
    expect(judge(intents.repay, factor('1.1'), factor('1.4') - 1n)).toMatchObject({
      code: 'HEALTH_FACTOR_FLOOR',
      limit: '1.4',
    })
  })

  it('lets a rescue that cannot reach the minimum at least improve', () => {
    const modest = { ...intents.repay, minHealthFactor: factor('1.02') }
    expect(judge(modest, factor('1.01'), factor('1.03')).allowed).toBe(true)
    expect(judge(intents.supply, factor('0.97'), factor('0.98')).allowed).toBe(true)
  })

  it('takes no debt for healthy, before and after', () => {
    expect(judge(intents.supply, MAX_UINT256, MAX_UINT256)).toMatchObject({
      allowed: true,
      observed: 'no debt',
    })
    expect(judge(intents.repay, factor('1.1'), MAX_UINT256).allowed).toBe(true)
    expect(judge(intents.borrow, MAX_UINT256, factor('1.19')).allowed).toBe(false)
  })
})
