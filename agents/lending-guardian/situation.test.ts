import fc from 'fast-check'
import { formatUnits } from 'viem'
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { usd, wad } from '../../runtime/core/units.ts'
import { enumerateCandidates } from './candidates.ts'
import { settle } from './options.ts'
import { buildPrompt } from './prompt.ts'
import { gather } from './scene.ts'
import { GAS_COST_BUCKETS_BPS, type Situation, situationSchema } from './schema.ts'
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
        poolPrice: usd(1_583n * 10n ** 8n),
        wallet: { usdc: 600_000_000n },
      }),
    )
    expect(situation).toMatchObject({
      schema: 'rialto.situation/v1',
      // 1.0999…
      healthFactor: 1.09,
      hardFloor: 1.08,
      trigger: 1.15,
      // 1.301
      target: 1.31,
      horizonBlocks: 50,
      // -106.25 bps
      poolDeviationBps: -110,
      // 17.8 bps
      gasCostBps: 20,
      liquidation: { thresholdBps: 8_250, bonusBps: 500, closeFactorBps: 5_000 },
    })
    const [repay] = situation.candidates
    expect(repay).toMatchObject({ id: 'c1', kind: 'repay', sizeBounds: [19, 100] })
    expect(repay?.projections.map(({ size }) => size)).toEqual([19, 39, 59, 79, 100])
    // 11.776 dollars of 4,000, and 11,400 of 12,000.
    expect(repay?.projections.at(-1)).toEqual({
      size: 100,
      healthFactorAfter: 1.15,
      costBps: 30,
      debtAfter: 0.95,
    })
  })

  it('shows the first size that reaches the target', () => {
    const deleverage = situationOf(snapshotOf()).candidates[0]
    const after = deleverage?.projections.map(({ healthFactorAfter }) => healthFactorAfter) ?? []
    expect(after.some((value) => value >= 1.3 && value <= 1.31)).toBe(true)
    expect(deleverage?.projections.at(-1)).toMatchObject({ healthFactorAfter: 10, debtAfter: 0 })
  })

  it('names the close factor that would hold', () => {
    const at = (dollars: bigint) =>
      situationOf(snapshotOf({ price: usd(dollars * 10n ** 8n) })).liquidation.closeFactorBps
    expect(at(1_600n)).toBe(5_000)
    expect(at(1_350n)).toBe(10_000)
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
    const withoutGas = (scale: bigint) => {
      const snapshot = snapshotOf({
        supplied: scale * 10n ** 18n,
        owed: scale * 1_200n * 10n ** 6n,
        wallet: { usdc: scale * 60n * 10n ** 6n },
        liquidity: scale * 10n ** 18n,
      })
      const free = { ...snapshot, block: { ...snapshot.block, baseFeePerGas: snapshot.wallet.native } }
      const situation = situationOf(free)
      return JSON.stringify(situation, (key, value) =>
        key === 'gasCostBps' || key === 'costBps' ? undefined : value,
      )
    }
    expect(withoutGas(10n)).toBe(withoutGas(10_000n))
  })

  it('weighs gas in a few buckets', () => {
    expect(new Set(GAS_COST_BUCKETS_BPS).size).toBe(11)
    const small = situationOf(snapshotOf({ supplied: 10n ** 15n, owed: 1_200_000n }))
    expect(small.gasCostBps).toBe(1_000)
    const free = settle({ ...testOptions, gas: { repay: 0n, deleverage: 0n, supply: 0n } })
    expect(situationOf(snapshotOf(), free).gasCostBps).toBe(0)
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
