import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../core/snapshot.ts'
import { BPS, bps, tokenAmount, usdValue, WAD } from '../core/units.ts'
import { findReserve, findReservePosition } from './aave-v3/healthFactor.ts'
import { suppliedBalance } from './aave-v3/interest.ts'
import { boundDeleverage, type DeleverageWay, isInfeasible, poolsBetween } from './boundDeleverage.ts'
import { projectDeleverage } from './projectDeleverage.ts'
import { OWNER, POOL, sampleSnapshot, USDC, WETH } from './sampleSnapshot.fixture.ts'

function wayIn(snapshot: Snapshot): DeleverageWay {
  const [position] = snapshot.positions
  const [pool] = poolsBetween(snapshot, WETH, USDC)
  if (position === undefined || pool === undefined) throw new TypeError('the sample has both')
  const [collateral, debt] = [WETH, USDC].map((asset) => findReserve(snapshot.reserves, asset))
  if (collateral === undefined || debt === undefined) throw new TypeError('the sample has both')
  return { snapshot, position, collateral, debt, pool }
}

const loose = { slippage: bps(300n), quote: bps(100n), mayGiveAll: false }

describe('the bounds of a deleverage', () => {
  it('give no more than quote and oracle bear, and leave what the other projection says', () => {
    const seen = { bounded: 0, refused: 0 }
    fc.assert(
      fc.property(
        fc.integer({ min: 8_000, max: 16_400 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 500 }),
        fc.boolean(),
        (owed, part, slippage, quote, mayGiveAll) => {
          const snapshot = sampleSnapshot(BigInt(owed), 10n ** 18n)
          const way = wayIn(snapshot)
          const repay = tokenAmount((BigInt(owed) * 10n ** 6n * BigInt(part)) / 100n)
          const tolerance = { slippage: bps(BigInt(slippage)), quote: bps(BigInt(quote)), mayGiveAll }
          try {
            const { spent, maxCollateralIn, worst, expected } = boundDeleverage(way, repay, tolerance)
            seen.bounded++
            expect(maxCollateralIn).toBeGreaterThan(spent)
            expect((maxCollateralIn - 2n) * BPS).toBeLessThanOrEqual(spent * (BPS + tolerance.quote))
            const { collateral, debt } = way
            const given = usdValue(maxCollateralIn, collateral.price, collateral.decimals, 'down')
            const got = usdValue(repay, debt.price, debt.decimals, 'down')
            expect((given - 1n) * (BPS - tolerance.slippage)).toBeLessThanOrEqual(got * BPS)
            expect(worst.account.healthFactor).toBeGreaterThanOrEqual(WAD)
            expect(expected().account.healthFactor).toBeGreaterThanOrEqual(worst.account.healthFactor)
            const route = { user: OWNER, collateral: WETH, debt: USDC, pool: POOL }
            expect(expected().account).toEqual(projectDeleverage(snapshot, route, repay).position.account)
          } catch (error) {
            if (!isInfeasible(error)) throw error
            seen.refused++
          }
        },
      ),
      { numRuns: 200 },
    )
    for (const [kind, times] of Object.entries(seen)) expect(times, kind).toBeGreaterThan(10)
  })

  it('refuse a pool that pays too little, and a reserve that does not hold it', () => {
    const way = wayIn(sampleSnapshot(12_000n, 10n ** 18n))
    const some = tokenAmount(1_000n * 10n ** 6n)
    expect(() => boundDeleverage(way, some, { ...loose, slippage: bps(0n) })).toThrow(/pays too little/)
    const collateral = { ...way.collateral, availableLiquidity: tokenAmount(1n) }
    expect(() => boundDeleverage({ ...way, collateral }, some, loose)).toThrow(/does not hold that much/)
  })

  it('give all of a collateral, and no more, only where that is wanted', () => {
    const way = wayIn(sampleSnapshot(12_000n, 10n ** 18n))
    const some = tokenAmount(1_000n * 10n ** 6n)
    const { spent } = boundDeleverage(way, some, loose)
    // As much collateral as the quote takes and a unit more, beside a debt that it repays whole.
    const part = findReservePosition(way.position, WETH)
    const supplied = suppliedBalance(part, way.collateral, way.snapshot.block.timestamp)
    const scaled = (part.scaledATokenBalance * (spent + 10n)) / supplied
    const owed = findReservePosition(way.position, USDC)
    const reserves = [
      { ...part, scaledATokenBalance: scaled },
      { ...owed, scaledVariableDebt: owed.scaledVariableDebt / 20n },
    ]
    const poor = { ...way, position: { ...way.position, reserves } }
    const held = suppliedBalance(
      { ...part, scaledATokenBalance: scaled },
      way.collateral,
      way.snapshot.block.timestamp,
    )
    expect(boundDeleverage(poor, some, { ...loose, mayGiveAll: true }).maxCollateralIn).toBe(held)
    expect(() => boundDeleverage(poor, some, loose)).toThrow(expect.toSatisfy(isInfeasible))
  })
})
