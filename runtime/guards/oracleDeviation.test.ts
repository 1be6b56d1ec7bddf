import { describe, expect, it } from 'vitest'
import { bps } from '../core/units.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import {
  context,
  dollars,
  intents,
  reading,
  seeing,
  snapshot,
  under,
  usdc,
  weth,
} from './guardScene.fixture.ts'
import { oracleDeviation } from './oracleDeviation.ts'

const off = (deviation: bigint | null) =>
  seeing({
    oracles: [
      reading(weth, '1800', { poolDeviation: deviation === null ? null : bps(deviation) }),
      reading(usdc, '1'),
    ],
  })

describe('oracleDeviation', () => {
  it('allows a deviation of exactly the limit, and denies a basis point more', () => {
    expect(oracleDeviation(off(100n), intents.swap, null)).toMatchObject({ allowed: true, observed: '100' })
    expect(oracleDeviation(off(101n), intents.swap, null)).toMatchObject({
      code: 'ORACLE_DEVIATION',
      limit: '100',
      observed: '101',
    })
  })

  it('has a limit of its own for a rescue, and none that a glitch would pass', () => {
    expect(oracleDeviation(off(500n), intents.deleverage, null).allowed).toBe(true)
    expect(oracleDeviation(off(501n), intents.deleverage, null)).toMatchObject({ code: 'ORACLE_DEVIATION' })
    expect(oracleDeviation(off(15_000n), intents.deleverage, null)).toMatchObject({
      code: 'ORACLE_DEVIATION',
    })
    const none = planOf(intents.repay, { effects: movingHealthFactor('1.4', '1.5') })
    expect(oracleDeviation(off(101n), intents.repay, none)).toMatchObject({ code: 'ORACLE_DEVIATION' })
  })

  it('denies where no pool vouches for a price, unless the policy names the token', () => {
    expect(oracleDeviation(off(null), intents.swap, null)).toMatchObject({
      code: 'NOT_JUDGEABLE',
      observed: 'WETH',
    })
    const trusting = under((file) => {
      file.oracle.withoutReferencePool = ['WETH'] as never
    })
    expect(oracleDeviation({ ...off(null), policy: trusting.policy }, intents.swap, null).allowed).toBe(true)
  })

  it("denies a feed that is too far from Aave's price", () => {
    const [reserve, ...others] = snapshot.reserves
    const priced = (price: string) =>
      seeing({
        reserves: [{ ...(reserve as NonNullable<typeof reserve>), price: dollars(price) }, ...others],
      })
    expect(oracleDeviation(priced('1818'), intents.swap, null).allowed).toBe(true)
    expect(oracleDeviation(priced('1818.01'), intents.swap, null)).toMatchObject({ code: 'ORACLE_DEVIATION' })
    expect(oracleDeviation(priced('1781.99'), intents.swap, null)).toMatchObject({ code: 'ORACLE_DEVIATION' })
  })

  it('denies a price that is missing', () => {
    expect(oracleDeviation(seeing({ oracles: [] }, context), intents.swap, null)).toMatchObject({
      code: 'ORACLE_MISSING',
    })
  })
})
