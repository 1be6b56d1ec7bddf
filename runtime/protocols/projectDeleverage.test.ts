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
    const seen = { reached: 0, unreachable: 0, peaked: 0 }
    fc.assert(
      fc.property(
        fc.integer({ min: 8_000, max: 16_400 }),
        // At about 2,000 dollars a WETH, 10^13 is a pool of a fifth of a WETH, 10^18 one of 22,000 of them.
        fc.integer({ min: 13, max: 18 }),
        fc.integer({ min: 1, max: 9 }),
        fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 60, max: 2_000 })),
        (debt, exponent, digit, thousandths) => {
          const snapshot = sampleSnapshot(BigInt(debt), BigInt(digit) * 10n ** BigInt(exponent))
          const start = snapshot.positions[0]?.account.healthFactor ?? 0n
          const target = wad((start * BigInt(1_000 + thousandths)) / 1_000n)
          const solution = repayForHealthFactor(snapshot, route, target)
          // Nothing on a grid of amounts does better.
          const grid = Array.from({ length: 60 }, (_, i) => (BigInt(debt) * 10n ** 6n * BigInt(i + 1)) / 60n)
          const onGrid = grid.map((amount) => healthFactorAfter(snapshot, amount))
          const first = onGrid.findIndex((healthFactor) => (healthFactor ?? 0n) >= target)
          if (solution === null) {
            seen.unreachable++
            expect(first).toBe(-1)
            return
          }
          seen.reached++
          expect(solution.position.account.healthFactor).toBeGreaterThanOrEqual(target)
          if (first >= 0) expect(solution.repayAmount).toBeLessThanOrEqual(grid[first] ?? 0n)
          const less = healthFactorAfter(snapshot, solution.repayAmount - 1n)
          if (less !== null) expect(less).toBeLessThan(target)
          // More than enough can be too much: the pool's price has fallen too far.
          if (onGrid.slice(first).some((healthFactor) => (healthFactor ?? 0n) < target)) seen.peaked++
        },
      ),
      { numRuns: 150 },
    )
    for (const [kind, times] of Object.entries(seen))
      expect({ kind, some: times > 0 }).toEqual({ kind, some: true })
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
