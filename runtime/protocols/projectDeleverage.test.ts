import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tokenAmount, wad } from '../core/units.ts'
import { InfeasibleActionError, NotInSnapshotError } from './errors.ts'
import { type DeleverageRoute, projectDeleverage, repayForHealthFactor } from './projectDeleverage.ts'
import { OWNER, POOL, sampleBook, sampleSnapshot, USDC, WETH } from './sampleSnapshot.fixture.ts'
import { InsufficientLiquidityError, QuoteOutOfRangeError } from './uniswap-v3/quote.ts'

const route: DeleverageRoute = { user: OWNER, collateral: WETH, debt: USDC, pool: POOL }
const fixed18 = (thousandths: number) => wad(BigInt(thousandths) * 10n ** 15n)

const healthFactorAfter = (snapshot: ReturnType<typeof sampleSnapshot>, amount: bigint): bigint | null => {
  try {
    return projectDeleverage(snapshot, route, tokenAmount(amount)).position.account.healthFactor
  } catch (error) {
    const isImpossible =
      error instanceof InfeasibleActionError ||
      error instanceof InsufficientLiquidityError ||
      error instanceof QuoteOutOfRangeError
    if (!isImpossible) throw error
    return null
  }
}

describe('repayForHealthFactor', () => {
  it('finds the least repayment that reaches the target, in pools from deep to nearly empty', () => {
    const seen = { reached: 0, unreachable: 0 }
    fc.assert(
      fc.property(
        fc.integer({ min: 8_000, max: 16_400 }),
        // With about 2,000 dollars a WETH, 10^13 holds a fifth of a WETH, 10^18 holds 22,000 of them.
        fc.integer({ min: 130, max: 180 }),
        fc.integer({ min: 1_001, max: 4_000 }),
        (debt, depth, thousandths) => {
          const liquidity = BigInt(Math.round(10 ** (depth / 10 - 4))) * 10_000n
          const snapshot = sampleSnapshot(BigInt(debt), liquidity)
          const target = fixed18(thousandths)
          if ((snapshot.positions[0]?.account.healthFactor ?? 0n) >= target) return
          const solution = repayForHealthFactor(snapshot, route, target)
          // Nothing on a grid of amounts does better.
          const grid = Array.from(
            { length: 200 },
            (_, i) => (BigInt(debt) * 10n ** 6n * BigInt(i + 1)) / 200n,
          )
          const firstOnGrid = grid.find((amount) => (healthFactorAfter(snapshot, amount) ?? 0n) >= target)
          if (solution === null) {
            seen.unreachable++
            expect(firstOnGrid).toBeUndefined()
            return
          }
          seen.reached++
          expect(solution.position.account.healthFactor).toBeGreaterThanOrEqual(target)
          if (firstOnGrid !== undefined) expect(solution.repayAmount).toBeLessThanOrEqual(firstOnGrid)
          const less = healthFactorAfter(snapshot, solution.repayAmount - 1n)
          if (less !== null) expect(less).toBeLessThan(target)
        },
      ),
      { numRuns: 150 },
    )
    expect(seen.reached).toBeGreaterThan(20)
    expect(seen.unreachable).toBeGreaterThan(20)
  })

  it('has nothing to do for an account that is there already, or owes nothing', () => {
    expect(repayForHealthFactor(sampleSnapshot(8_000n, 10n ** 18n), route, fixed18(1_500))).toBeNull()
    expect(repayForHealthFactor(sampleSnapshot(0n, 10n ** 18n), route, fixed18(1_500))).toBeNull()
  })

  it('counts the interest until the time that is named', () => {
    const snapshot = sampleSnapshot(14_000n, 10n ** 18n)
    const now = repayForHealthFactor(snapshot, route, fixed18(1_250))
    const later = { ...route, timestamp: snapshot.block.timestamp + 30n * 86_400n }
    const inAMonth = repayForHealthFactor(snapshot, later, fixed18(1_250))
    expect(inAMonth?.repaid ?? 0n).toBeGreaterThan(now?.repaid ?? 0n)
  })
})

describe('projectDeleverage', () => {
  it('says what is missing from a snapshot', () => {
    const snapshot = sampleSnapshot(14_000n, 10n ** 18n)
    const amount = tokenAmount(1_000_000n)
    expect(() => projectDeleverage({ ...snapshot, pools: [] }, route, amount)).toThrow(NotInSnapshotError)
    expect(() => projectDeleverage({ ...snapshot, positions: [] }, route, amount)).toThrow(NotInSnapshotError)
    expect(() => projectDeleverage({ ...snapshot, reserves: [] }, route, amount)).toThrow(NotInSnapshotError)
  })

  it('refuses when a reserve is paused, or holds too little of the collateral', () => {
    const snapshot = sampleSnapshot(14_000n, 10n ** 18n)
    const amount = tokenAmount(1_000_000_000n)
    for (const change of [{ isPaused: true }, { isActive: false }, { availableLiquidity: tokenAmount(1n) }]) {
      const reserves = snapshot.reserves.map((reserve) =>
        reserve.asset === sampleBook.wrappedNative ? { ...reserve, ...change } : reserve,
      )
      expect(() => projectDeleverage({ ...snapshot, reserves }, route, amount)).toThrow(InfeasibleActionError)
    }
  })
})
