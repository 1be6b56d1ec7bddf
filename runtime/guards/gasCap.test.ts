import { describe, expect, it } from 'vitest'
import type { Action } from '../core/intent.ts'
import type { Plan } from '../core/lifecycle.ts'
import type { PositionState, ReserveState } from '../core/snapshot.ts'
import { bps, wei } from '../core/units.ts'
import { gasCap } from './gasCap.ts'
import { movingHealthFactor, planOf } from './guardPlans.fixture.ts'
import { context, gweis, intents, seeing, snapshot, weth } from './guardScene.fixture.ts'

const judge = (intent: Action, gasLimit: bigint, maxFeePerGas: bigint, by = context, effects = {}) =>
  gasCap(by, intent, planOf(intent, { plan: { gasLimit, maxFeePerGas: wei(maxFeePerGas) }, effects }))

describe('gasCap', () => {
  it('allows exactly the limit per gas, and not a wei more', () => {
    expect(judge(intents.swap, 100_000n, gweis('100')).allowed).toBe(true)
    expect(judge(intents.swap, 100_000n, gweis('100') + 1n)).toMatchObject({
      code: 'GAS_CAP',
      limit: '100',
      observed: '100.000000001',
    })
    expect(judge(intents.repay, 100_000n, gweis('400')).allowed).toBe(true)
    expect(judge(intents.repay, 100_000n, gweis('400') + 1n)).toMatchObject({ code: 'GAS_CAP', limit: '400' })
  })

  it('allows exactly the limit in dollars for the whole transaction', () => {
    // 1/12 ETH at 1,800 dollars.
    expect(judge(intents.swap, 1_000_000n, gweis('83.333333333')).allowed).toBe(true)
    expect(judge(intents.swap, 1_000_000n, gweis('83.333333334'))).toMatchObject({
      code: 'GAS_CAP',
      limit: '150',
    })
  })

  it('denies what the account cannot pay: a node would refuse it after it was signed', () => {
    const holding = (native: bigint) => seeing({ wallet: { ...snapshot.wallet, native: wei(native) } })
    const most = 100_000n * gweis('100')
    expect(judge(intents.swap, 100_000n, gweis('100'), holding(most)).allowed).toBe(true)
    expect(judge(intents.swap, 100_000n, gweis('100'), holding(most - 1n))).toMatchObject({
      code: 'GAS_UNAFFORDABLE',
      limit: '0.009999999999999999',
      observed: '0.01',
    })
    expect(judge(intents.deleverage, 100_000n, gweis('100'), holding(0n)).code).toBe('GAS_UNAFFORDABLE')
  })

  it('asks no coins of a Safe, whose sender pays', () => {
    const sender = snapshot.wallet.account
    const route = { modifier: sender, multiSend: sender, roleKey: snapshot.block.hash, sender }
    const plan = { gasLimit: 100_000n, maxFeePerGas: gweis('100') }
    const poor = seeing({ wallet: { ...snapshot.wallet, native: wei(0n) } })
    const judgeRoute = (via: Plan['via']) =>
      gasCap(poor, intents.swap, planOf(intents.swap, { plan: { ...plan, ...(via && { via }) } }))
    expect(judgeRoute({ kind: 'roles', ...route }).allowed).toBe(true)
    expect(judgeRoute(undefined).allowed).toBe(false)
  })

  // Half of 51,000 at a bonus of 5 % is a penalty of 1,275; half of that is 637.5: 0.354166… ETH.
  it('lets a rescue cost the stated part of the penalty that it avoids', () => {
    expect(judge(intents.deleverage, 1_000_000n, gweis('354.166666666'))).toMatchObject({
      allowed: true,
      limit: '637.5',
    })
    expect(judge(intents.deleverage, 1_000_000n, gweis('354.166666667'))).toMatchObject({ code: 'GAS_CAP' })
  })

  it('never gives a rescue less than everyday business', () => {
    const [reserve, ...others] = snapshot.reserves as [ReserveState, ...ReserveState[]]
    const bonusless = (bonus: bigint) =>
      seeing({ reserves: [{ ...reserve, liquidationBonus: bps(bonus) }, ...others] })
    for (const bonus of [0n, 10_000n, 10_001n])
      expect(judge(intents.repay, 1_000_000n, gweis('83.3'), bonusless(bonus))).toMatchObject({
        allowed: true,
        limit: '150',
      })
  })

  it('takes the lowest bonus among the collaterals', () => {
    const [position] = snapshot.positions as [PositionState]
    const both = position.reserves.map((part) => ({
      ...part,
      scaledATokenBalance: 1n,
      usedAsCollateral: true,
    }))
    const reserves = snapshot.reserves.map((reserve) => ({
      ...reserve,
      liquidationBonus: bps(reserve.asset === weth ? 10_500n : 10_400n),
    }))
    const mixed = seeing({ reserves, positions: [{ ...position, reserves: both }] })
    expect(judge(intents.repay, 1_000_000n, gweis('1'), mixed)).toMatchObject({ limit: '510' })
  })

  it('gives no more to what is no rescue', () => {
    for (const effects of [movingHealthFactor('1.1', '1.1'), movingHealthFactor('1.35', '1.4')])
      expect(judge(intents.repay, 1_000_000n, gweis('90'), context, effects)).toMatchObject({
        code: 'GAS_CAP',
      })
  })

  it('denies without a price of the native coin', () => {
    const blind = seeing({ reserves: [], oracles: [] })
    expect(judge(intents.swap, 1n, 1n, blind)).toMatchObject({ code: 'ORACLE_MISSING' })
  })
})
