import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_REASON_LENGTH } from '../../../agents/lending-guardian/choice.ts'
import {
  BONUS_BUCKETS_BPS,
  type Candidate,
  COST_BUCKETS_BPS,
  DEVIATION_BUCKETS_BPS,
  HEALTH_FACTOR_RUNGS,
  MARKET_STEP_BPS,
  PROJECTED_SIZES,
  SITUATION_SCHEMA_ID,
  type Situation,
  situationSchema,
} from '../../../agents/lending-guardian/schema.ts'
import { analyse } from './analyse.ts'
import { situation } from './situation.fixture.ts'

const at = (fields: Partial<Situation>): Situation => ({ ...situation, ...fields })
const calm = { volatilityBps: 5, driftBps: 0, poolDeviationBps: 0 } as const
const falling = { volatilityBps: 60, driftBps: -50, poolDeviationBps: 0 } as const
const kindOf = (of: Situation) => analyse(of).chosen.candidate.kind
const [protect, wait] = situation.candidates as [Candidate, Candidate]

describe('analyse', () => {
  it('waits in a calm market far from liquidation, and acts in a falling one', () => {
    expect(kindOf(at({ market: calm }))).toBe('wait')
    expect(kindOf(at({ market: falling }))).toBe('protect')
  })

  it('takes a pool that trades lower for where the oracle goes', () => {
    const risk = (poolDeviationBps: Situation['market']['poolDeviationBps']) =>
      analyse(at({ market: { ...calm, poolDeviationBps } })).assessments.map(({ liquidation }) => liquidation)
    expect(risk(-500).at(-1)).toBeGreaterThan(risk(0).at(-1) as number)
  })

  it('goes no further than the target', () => {
    const report = analyse(at({ market: falling }))
    expect(report.chosen.projection).toMatchObject({ size: 100, healthFactorAfter: 1.25 })
    const near = analyse(at({ market: falling, target: 1.15 })).assessments
    expect(near.map(({ projection }) => projection.healthFactorAfter)).toEqual([1.1, 1.15, 1.05])
  })

  it('never waits under the hard floor', () => {
    expect(kindOf(at({ healthFactor: 1.02, hardFloor: 1.03, market: calm }))).toBe('protect')
  })

  it('may still wait at the hard floor itself', () => {
    expect(kindOf(at({ healthFactor: 1.03, hardFloor: 1.03, market: calm }))).toBe('wait')
  })

  it('goes at least above the hard floor', () => {
    const report = analyse(at({ healthFactor: 1.02, hardFloor: 1.07, market: calm }))
    expect(report.chosen.projection).toMatchObject({ size: 50, healthFactorAfter: 1.15 })
  })

  it('lifts as far as it can where nothing reaches the hard floor', () => {
    const report = analyse(at({ healthFactor: 1.02, hardFloor: 2, target: 2 }))
    expect(report.chosen.projection).toMatchObject({ size: 100, healthFactorAfter: 1.25 })
  })

  it('waits under the hard floor where there is nothing else', () => {
    expect(kindOf(at({ healthFactor: 1, hardFloor: 1.03, candidates: [wait] }))).toBe('wait')
  })

  it('gives ties to the candidate that stands first', () => {
    const twin = { ...protect, id: 'c2' as const }
    expect(analyse(at({ market: falling, candidates: [twin, protect] })).answer.candidate).toBe('c2')
    expect(analyse(at({ market: falling, candidates: [protect, twin] })).answer.candidate).toBe('c1')
  })

  it('has less to lose where less is owed', () => {
    const owing = (debtAfter: number) =>
      analyse(
        at({
          market: falling,
          candidates: [
            { ...protect, projections: [{ size: 50, healthFactorAfter: 1.06, costBps: 30, debtAfter }] },
          ],
        }),
      ).chosen
    const [all, half] = [owing(1), owing(0.5)]
    expect(half.liquidation).toBe(all.liquidation)
    // Half of a bonus of 7.5 % on half of the debt that is gone.
    expect(all.expectedCostBps - half.expectedCostBps).toBeCloseTo(all.liquidation * 187.5, 2)
  })

  it('explains itself in figures', () => {
    expect(analyse(at({ market: falling })).answer.reason).toBe(
      'By formula: going 100 % of the way to the target takes the health factor from 1.05 to 1.25; liquidation within 50 ' +
        'blocks: 75.46 % (99.72 % if it waits). Expected cost 297.4 bps of the debt, the least of 5. ' +
        'Volatility 60.0 bps a block, drift -50.2.',
    )
    expect(analyse(at({ market: calm })).answer.reason).toBe(
      'By formula: waiting keeps the health factor at 1.05; liquidation within 50 blocks: under 0.01 %. ' +
        'Expected cost 0.4 bps of the debt, the least of 5. Volatility 5.0 bps a block, drift 0.0.',
    )
  })

  const hundredths = (min: number, max: number) =>
    fc.integer({ min: min * 100, max: max * 100 }).map((n) => Number((n / 100).toFixed(2)))
  const multiples = (of: number, min: number, max: number) =>
    fc.integer({ min: min / of, max: max / of }).map((n) => n * of + 0)
  const projections = fc.subarray([...PROJECTED_SIZES], { minLength: 1 }).chain((sizes) =>
    fc.tuple(
      ...sizes.map((size) =>
        fc.record({
          size: fc.constant(size),
          healthFactorAfter: hundredths(0, 10),
          costBps: fc.constantFrom(...COST_BUCKETS_BPS),
          debtAfter: fc.integer({ min: 0, max: 20 }).map((n) => n / 20),
        }),
      ),
    ),
  )
  const candidates = fc
    .tuple(fc.option(projections), hundredths(0, 10))
    .map(([protecting, healthFactor]): Candidate[] => [
      ...(protecting === null
        ? []
        : [
            {
              id: 'c1' as const,
              kind: 'protect' as const,
              sizeBounds: [1, 100] as [1, 100],
              projections: protecting,
            },
          ]),
      {
        id: 'c2',
        kind: 'wait',
        sizeBounds: [0, 0],
        projections: [{ size: 0, healthFactorAfter: healthFactor, costBps: 0, debtAfter: 1 }],
      },
    ])
  const situations: fc.Arbitrary<Situation> = fc.record({
    schema: fc.constant(SITUATION_SCHEMA_ID),
    healthFactor: fc.constantFrom(...HEALTH_FACTOR_RUNGS),
    hardFloor: hundredths(1, 2),
    target: hundredths(1, 3),
    horizonBlocks: fc.integer({ min: 1, max: 1_024 }),
    market: fc.record({
      volatilityBps: multiples(MARKET_STEP_BPS, 0, 10_000),
      driftBps: multiples(MARKET_STEP_BPS, -10_000, 0),
      poolDeviationBps: fc.constantFrom(...DEVIATION_BUCKETS_BPS),
    }),
    liquidation: fc.record({
      bonusBps: fc.constantFrom(...BONUS_BUCKETS_BPS),
      closeFactorBps: fc.constantFrom(5_000 as const, 10_000 as const),
    }),
    candidates,
  })

  it('answers every valid situation with one of its projections, the same each time', () => {
    fc.assert(
      fc.property(situations, (of) => {
        expect(situationSchema.parse(of)).toEqual(of)
        const { answer, assessments, chosen } = analyse(of)
        const candidate = of.candidates.find(({ id }) => id === answer.candidate)
        expect(candidate?.projections.some(({ size }) => size === answer.size)).toBe(true)
        expect(analyse(structuredClone(of)).answer).toEqual(answer)
        expect(answer.reason.length).toBeLessThanOrEqual(MAX_REASON_LENGTH)
        for (const { liquidation, forced, expectedCostBps } of assessments) {
          expect(liquidation).toBeGreaterThanOrEqual(0)
          expect(liquidation).toBeLessThanOrEqual(1)
          expect(forced).toBeGreaterThanOrEqual(liquidation * (of.hardFloor >= 1 ? 1 : 0))
          expect(Number.isFinite(expectedCostBps)).toBe(true)
        }
        if (of.healthFactor >= of.hardFloor)
          expect(chosen.expectedCostBps).toBe(
            Math.min(...assessments.map(({ expectedCostBps }) => expectedCostBps)),
          )
        else if (of.candidates.length > 1) expect(candidate?.kind).not.toBe('wait')
      }),
      { numRuns: 300 },
    )
  })
})
