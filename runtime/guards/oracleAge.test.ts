import { describe, expect, it } from 'vitest'
import { usd } from '../core/units.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { intents, reading, seeing, snapshot, usdc, weth } from './guardScene.fixture.ts'
import { oracleAge } from './oracleAge.ts'

const now = snapshot.block.timestamp
/** The oracles with WETH's last answer that many seconds ago. */
const aged = (seconds: bigint, stale = false) =>
  seeing({ oracles: [reading(weth, '1800', { updatedAt: now - seconds, stale }), reading(usdc, '1')] })

describe('oracleAge', () => {
  it('allows a price exactly as old as the limit, and denies one a second older', () => {
    expect(oracleAge(aged(600n), intents.swap, null)).toMatchObject({ allowed: true, observed: '600' })
    expect(oracleAge(aged(601n), intents.swap, null)).toMatchObject({
      code: 'ORACLE_STALE',
      limit: '600',
      observed: '601',
    })
  })

  it('has a limit of its own for a rescue', () => {
    expect(oracleAge(aged(1_200n), intents.deleverage, null).allowed).toBe(true)
    expect(oracleAge(aged(1_201n), intents.deleverage, null)).toMatchObject({ code: 'ORACLE_STALE' })
  })

  it('does not take a plan for a rescue that the simulation shows to be none', () => {
    const none = planOf(intents.deleverage, { effects: movingHealthFactor('1.1', '1.1') })
    expect(oracleAge(aged(601n), intents.deleverage, none)).toMatchObject({
      code: 'ORACLE_STALE',
      limit: '600',
    })
  })

  it('denies a missed heartbeat to everything but a rescue', () => {
    expect(oracleAge(aged(60n, true), intents.swap, null)).toMatchObject({ code: 'ORACLE_STALE' })
    expect(oracleAge(aged(60n, true), intents.repay, null).allowed).toBe(true)
  })

  it('denies a price that is missing or zero', () => {
    expect(oracleAge(seeing({ oracles: [reading(usdc, '1')] }), intents.swap, null)).toMatchObject({
      code: 'ORACLE_MISSING',
      observed: 'WETH',
    })
    const zero = [{ ...reading(weth, '1'), price: usd(0n) }, reading(usdc, '1')]
    expect(oracleAge(seeing({ oracles: zero }), intents.swap, null)).toMatchObject({ code: 'ORACLE_MISSING' })
  })

  it('needs the price of everything in the position, and of gas, whatever the intent names', () => {
    const none = seeing({ oracles: [reading(usdc, '1')] })
    expect(oracleAge(none, intents.transfer, null)).toMatchObject({
      code: 'ORACLE_MISSING',
      observed: 'WETH',
    })
    const noDebt = seeing({ oracles: [reading(weth, '1800')] })
    expect(oracleAge(noDebt, intents.supply, null)).toMatchObject({
      code: 'ORACLE_MISSING',
      observed: 'USDC',
    })
  })

  it('denies a price from the future', () => {
    expect(oracleAge(aged(0n), intents.swap, null).allowed).toBe(true)
    expect(oracleAge(aged(-1n), intents.swap, null)).toMatchObject({ code: 'NOT_JUDGEABLE' })
  })
})
