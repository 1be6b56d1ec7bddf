import fc from 'fast-check'
import { formatUnits } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { usd, wad } from '../../runtime/core/units.ts'
import { enumerateCandidates } from './candidates.ts'
import { settle } from './options.ts'
import { pickWay } from './positionClass.ts'
import { buildPrompt } from './prompt.ts'
import { gather } from './scene.ts'
import { type Situation, situationSchema } from './schema.ts'
import { describeSituation } from './situation.ts'
import { testOptions } from './testGuardian.ts'
import { snapshotOf, thresholds } from './testSnapshot.ts'

const settings = settle({
  ...testOptions,
  thresholds: { ...thresholds, target: wad(1_301_000_000_000_000_000n) },
})
const situationOf = (snapshot: Snapshot, of = settings): Situation => {
  const [position] = snapshot.positions
  if (position === undefined) throw new RangeError('no position')
  const scene = gather(snapshot, position, of)
  if ('obstacle' in scene) throw new RangeError(scene.obstacle)
  return describeSituation(scene, enumerateCandidates(scene, of), of)
}

describe('describeSituation', () => {
  it('rounds every figure to the careful side', () => {
    const situation = situationOf(
      snapshotOf({
        price: usd(159_999_999_999n),
        poolPrice: usd(1_590n * 10n ** 8n),
        wallet: { usdc: 600_000_000n },
      }),
    )
    expect(situation).toEqual({
      schema: 'rialto.situation/v2',
      // 1.0999…, and the hard floor is a rung.
      healthFactor: 1.08,
      hardFloor: 1.08,
      // 1.301
      target: 1.31,
      horizonBlocks: 50,
      // No rounds were read, so the prior; -62.5 bps.
      market: { volatilityBps: 20, driftBps: 0, poolDeviationBps: -100 },
      // 500 and a half.
      liquidation: { bonusBps: 750, closeFactorBps: 5_000 },
      candidates: [
        {
          id: 'c1',
          kind: 'protect',
          sizeBounds: [1, 100],
          // About 49 bps: 18 of gas, and 67 on the half that is repaid. Somewhat more than half of the debt is left.
          projections: [
            { size: 25, healthFactorAfter: 1.13, costBps: 100, debtAfter: 0.95 },
            { size: 50, healthFactorAfter: 1.19, costBps: 100, debtAfter: 0.85 },
            { size: 75, healthFactorAfter: 1.25, costBps: 100, debtAfter: 0.8 },
            { size: 100, healthFactorAfter: 1.31, costBps: 100, debtAfter: 0.7 },
          ],
        },
        {
          id: 'c2',
          kind: 'wait',
          sizeBounds: [0, 0],
          projections: [{ size: 0, healthFactorAfter: 1.08, costBps: 0, debtAfter: 1 }],
        },
      ],
    })
  })

  it('says what the market does, in steps', () => {
    const answers = Array.from({ length: 40 }, (_, index) => 163_120_000_000n - BigInt(index) * 80_000_000n)
    const { market } = situationOf(snapshotOf({ price: usd(160_000_000_000n), answers }))
    // Five basis points down in every block.
    expect(market).toEqual({ volatilityBps: 10, driftBps: -10, poolDeviationBps: 0 })
  })

  it('names the close factor that would hold', () => {
    const at = (dollars: bigint) =>
      situationOf(snapshotOf({ price: usd(dollars * 10n ** 8n) })).liquidation.closeFactorBps
    expect(at(1_600n)).toBe(5_000)
    expect(at(1_350n)).toBe(10_000)
  })

  it('offers half of the way where the market takes no more, and nothing where it does not take that', () => {
    const reachAt = (liquidity: bigint) =>
      situationOf(snapshotOf({ liquidity })).candidates.map(({ sizeBounds }) => sizeBounds[1])
    expect(reachAt(10n ** 18n)).toEqual([100, 0])
    expect(reachAt(11n * 10n ** 15n)).toEqual([50, 0])
    expect(reachAt(4n * 10n ** 15n)).toEqual([0])
  })

  it('does not offer to go beyond the target', () => {
    expect(situationOf(snapshotOf({ price: usd(1_910n * 10n ** 8n) })).candidates).toHaveLength(1)
  })
})

describe('describeClass', () => {
  it('is made of the class and nothing else', () => {
    // Two positions that have nothing in common but their class.
    const one = situationOf(snapshotOf({ supplied: 8n * 10n ** 18n, owed: 9_540_000_000n }))
    const other = situationOf(
      snapshotOf({
        supplied: 10n ** 19n,
        owed: 11_910_000_000n,
        wallet: { usdc: 230_000_000n, weth: 10n ** 16n },
      }),
    )
    expect(other).toEqual(one)
  })
})

describe('pickWay', () => {
  const at = (snapshot: Snapshot) => {
    const [position] = snapshot.positions
    if (position === undefined) throw new RangeError('no position')
    const scene = gather(snapshot, position, settings)
    if ('obstacle' in scene) throw new RangeError(scene.obstacle)
    return { scene, candidates: enumerateCandidates(scene, settings) }
  }
  const target = wad(1_300_000_000_000_000_000n)

  it('goes as far as it was told and no further than it must', () => {
    const { scene, candidates } = at(snapshotOf())
    for (const size of [1, 25, 50, 90, 100]) {
      const picked = pickWay(scene, candidates, size, 1.1, target)
      const level = 1.1 + 0.002 * size
      expect(Number(picked?.step.account.healthFactor) / 1e18).toBeGreaterThanOrEqual(level)
      const smaller = picked?.candidate.steps.find((step) => step.size === picked.step.size - 1)
      if (smaller) expect(Number(smaller.account.healthFactor) / 1e18).toBeLessThan(level)
    }
  })

  it('takes the way after which least can be lost', () => {
    const rich = { wallet: { usdc: 12_000_000_000n, weth: 10n ** 19n } }
    const kindAt = (options: object) => {
      const { scene, candidates } = at(snapshotOf({ ...rich, ...options }))
      return pickWay(scene, candidates, 100, 1.1, target)?.candidate.kind
    }
    expect(kindAt({})).toBe('deleverage')
    // A pool that takes little leaves the wallet.
    expect(kindAt({ liquidity: 10n ** 14n })).toBe('repay')
    expect(kindAt({ liquidity: 10n ** 14n, wallet: { weth: 10n ** 19n } })).toBe('add-collateral')
  })

  it('is null where nothing gets there, and where there is no way to go', () => {
    const { scene, candidates } = at(snapshotOf({ liquidity: 1n, wallet: { usdc: 300_000_000n } }))
    expect(candidates).toHaveLength(2)
    expect(pickWay(scene, candidates, 100, 1.1, target)).toBeNull()
    expect(pickWay(scene, candidates, 1, 1.5, target)).toBeNull()
  })
})

const worlds = fc.record({
  cents: fc.bigInt({ min: 120_000n, max: 175_000n }),
  supplied: fc.bigInt({ min: 10n ** 17n, max: 5_000n * 10n ** 18n }),
  leverage: fc.bigInt({ min: 6_000n, max: 8_249n }),
  usdc: fc.bigInt({ min: 0n, max: 10n ** 12n }),
  weth: fc.bigInt({ min: 0n, max: 10n ** 21n }),
  liquidity: fc.bigInt({ min: 10n ** 15n, max: 10n ** 21n }),
  block: fc.bigInt({ min: 10n ** 6n, max: 10n ** 9n }),
  shift: fc.bigInt({ min: 9_000n, max: 11_000n }),
  moves: fc.array(fc.integer({ min: -500, max: 500 }), { maxLength: 80 }),
})

describe('the prompt', () => {
  const promptOf = (snapshot: Snapshot) => {
    const situation = situationOf(snapshot)
    expect(situationSchema.parse(situation)).toEqual(situation)
    return buildPrompt(situation)
      .map(({ text }) => text)
      .join('\n')
  }

  it('holds ratios and coarse buckets: no address, no exact amount, no block, no time, whatever the snapshot', () => {
    fc.assert(
      fc.property(worlds, ({ cents, supplied, leverage, usdc, weth, liquidity, block, shift, moves }) => {
        const price = cents * 10n ** 6n
        const answers = [price]
        for (const move of moves.toReversed())
          answers.unshift(((answers[0] ?? price) * 10_000n) / BigInt(10_000 + move))
        const snapshot = snapshotOf({
          price: usd(price),
          poolPrice: usd((price * shift) / 10_000n),
          supplied,
          owed: (supplied * price * leverage) / 10n ** 24n,
          wallet: { usdc, weth },
          liquidity,
          block,
          answers,
        })
        const prompt = promptOf(snapshot)
        // No hex string, and no number with more than five digits or two decimals: there is no room for a secret.
        expect(prompt).not.toMatch(/0x|[0-9a-f]{12}/i)
        for (const [number] of prompt.matchAll(/\d[\d.,_]*/g))
          expect(number).toMatch(/^(\d{1,5}|\d{1,2}\.\d{1,2}),?\.?$/)
        for (const secret of secretsIn(snapshot)) expect(prompt).not.toContain(secret)
      }),
      { numRuns: 150 },
    )
  })

  it('does not change with the size of the position, but for what gas weighs', () => {
    const free = settle({ ...testOptions, gas: { repay: 0n, deleverage: 0n, supply: 0n } })
    const at = (scale: bigint) =>
      situationOf(
        snapshotOf({
          supplied: scale * 10n ** 18n,
          owed: scale * 1_200n * 10n ** 6n,
          wallet: { usdc: scale * 60n * 10n ** 6n },
          liquidity: scale * 10n ** 18n,
        }),
        free,
      )
    expect(at(10n)).toEqual(at(10_000n))
  })

  /** Everything exact that a snapshot holds, as it could be written, where it has five digits or more. */
  function secretsIn(snapshot: Snapshot): string[] {
    const found: string[] = []
    const visit = (value: unknown): void => {
      if (typeof value === 'string') found.push(value)
      else if (typeof value === 'bigint') {
        const magnitude = value < 0n ? -value : value
        for (const decimals of [0, 6, 8, 18, 27]) found.push(formatUnits(magnitude, decimals))
      } else if (typeof value === 'object' && value !== null)
        for (const member of Object.values(value)) visit(member)
    }
    // The symbols of public tokens are no secret; neither are the protocol's parameters.
    const { block, wallet, oracles, positions, pools } = snapshot
    visit([block, wallet, oracles, positions, pools])
    return found.filter(
      (text) =>
        text
          .replaceAll(/[^\da-f]/gi, '')
          .replace(/^0+/, '')
          .replace(/0+$/, '').length >= 5,
    )
  }
})
