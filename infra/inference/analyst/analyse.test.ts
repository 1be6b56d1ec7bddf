import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Candidate,
  GAS_COST_BUCKETS_BPS,
  SITUATION_SCHEMA_ID,
  type Situation,
  situationSchema,
} from '../../../agents/lending-guardian/schema.ts'
import { analyse } from './analyse.ts'
import { situation } from './situation.fixture.ts'

const at = (fields: Partial<Situation>): Situation => ({ ...situation, ...fields })
const calm = Array<number>(64)
  .fill(0)
  .map((_, index) => (index % 2 === 0 ? 2 : -2))
const falling = Array<number>(32).fill(-60)
const kindOf = (of: Situation) => analyse(of).chosen.candidate.kind

describe('analyse', () => {
  it('waits in a calm market far from liquidation, and acts in a falling one', () => {
    expect(kindOf(at({ returnsBps: calm, poolDeviationBps: 0 }))).toBe('wait')
    expect(kindOf(at({ returnsBps: falling }))).toBe('deleverage')
  })

  it('takes a pool that trades lower for where the oracle goes, and a higher one for nothing', () => {
    const risk = (poolDeviationBps: number | null) =>
      analyse(at({ returnsBps: calm, poolDeviationBps })).assessments.map(({ liquidation }) => liquidation)
    expect(risk(300)).toEqual(risk(0))
    expect(risk(null)).toEqual(risk(0))
    expect(risk(-300).at(-1)).toBeGreaterThan(risk(0).at(-1) as number)
  })

  it('does not count on a recovery', () => {
    const rising = falling.map((value) => -value)
    expect(analyse(at({ returnsBps: rising })).drift).toBeLessThanOrEqual(0)
    expect(analyse(at({ returnsBps: falling })).drift).toBeLessThan(-0.004)
  })

  it('goes no further than the target', () => {
    const report = analyse(at({ returnsBps: falling }))
    expect(report.chosen.projection).toMatchObject({ size: 60, healthFactorAfter: 1.25 })
    expect(report.assessments.some(({ projection }) => projection.healthFactorAfter > 1.25)).toBe(false)
    expect(analyse(at({ returnsBps: falling, target: 1.5 })).chosen.projection.size).toBe(100)
  })

  it('never waits under the hard floor', () => {
    expect(
      kindOf(at({ healthFactor: 1.02, hardFloor: 1.03, returnsBps: calm, poolDeviationBps: 0 })),
    ).not.toBe('wait')
  })

  it('may still wait at the hard floor itself', () => {
    expect(kindOf(at({ healthFactor: 1.03, hardFloor: 1.03, returnsBps: calm, poolDeviationBps: 0 }))).toBe(
      'wait',
    )
  })

  it('does not go higher than it has to above the hard floor', () => {
    const report = analyse(at({ healthFactor: 1.02, hardFloor: 1.1, returnsBps: calm, poolDeviationBps: 0 }))
    expect(report.chosen.projection).toMatchObject({ healthFactorAfter: 1.11, costBps: 8 })
  })

  it('lifts as far as it can where nothing reaches the hard floor', () => {
    const report = analyse(at({ healthFactor: 1.02, hardFloor: 2, target: 2 }))
    expect(report.chosen.projection).toMatchObject({ size: 100, healthFactorAfter: 1.6 })
  })

  it('waits under the hard floor where there is nothing else', () => {
    const wait = situation.candidates.at(-1) as Candidate
    expect(kindOf(at({ healthFactor: 1, hardFloor: 1.03, candidates: [wait] }))).toBe('wait')
  })

  it('gives ties to the candidate that stands first', () => {
    const twin = (id: string): Candidate => ({ ...(situation.candidates[1] as Candidate), id })
    expect(analyse(at({ returnsBps: falling, candidates: [twin('c7'), twin('c3')] })).answer.candidate).toBe(
      'c7',
    )
    expect(analyse(at({ returnsBps: falling, candidates: [twin('c3'), twin('c7')] })).answer.candidate).toBe(
      'c3',
    )
  })

  it('sees no risk in a debt that is gone', () => {
    const repaid: Candidate = {
      id: 'c1',
      kind: 'repay',
      sizeBounds: [1, 100],
      projections: [{ size: 100, healthFactorAfter: 1.01, costBps: 1, debtAfter: 0 }],
    }
    expect(analyse(at({ candidates: [repaid] })).chosen).toMatchObject({
      liquidation: 0,
      forced: 0,
      expectedCostBps: 1,
    })
  })

  it('explains itself in figures', () => {
    expect(analyse(at({ returnsBps: falling })).answer.reason).toBe(
      'By formula: deleveraging at 60 % takes the health factor from 1.06 to 1.25; liquidation within 50 blocks: 69.06 % ' +
        '(99.57 % if it waits). Expected cost 441.9 bps of equity, the least of 5. ' +
        'Volatility 59.7 bps a block, drift -47.6.',
    )
    expect(analyse(at({ returnsBps: calm, poolDeviationBps: 0 })).answer.reason).toBe(
      'By formula: waiting keeps the health factor at 1.06; liquidation within 50 blocks: under 0.01 %. ' +
        'Expected cost 0.0 bps of equity, the least of 5. Volatility 2.1 bps a block, drift 0.0.',
    )
  })

  const step = (value: number) => Number(value.toFixed(2))
  const hundredths = (min: number, max: number) =>
    fc.integer({ min: min * 100, max: max * 100 }).map((n) => step(n / 100))
  const candidates = fc
    .array(
      fc.record({
        kind: fc.constantFrom('repay' as const, 'deleverage' as const, 'add-collateral' as const),
        projections: fc.array(
          fc.record({
            size: fc.integer({ min: 1, max: 100 }),
            healthFactorAfter: hundredths(0, 10),
            costBps: fc.integer({ min: 0, max: 10_000 }),
            debtAfter: hundredths(0, 1),
          }),
          { minLength: 1, maxLength: 5 },
        ),
      }),
      { maxLength: 6 },
    )
    .chain((acting) =>
      hundredths(0, 10).map((healthFactor): Candidate[] => [
        ...acting.map((candidate, index) => ({
          ...candidate,
          id: `c${index + 1}`,
          sizeBounds: [1, 100] as [number, number],
        })),
        {
          id: `c${acting.length + 1}`,
          kind: 'wait',
          sizeBounds: [0, 0],
          projections: [{ size: 0, healthFactorAfter: healthFactor, costBps: 0, debtAfter: 1 }],
        },
      ]),
    )
  const situations = fc.record({
    schema: fc.constant(SITUATION_SCHEMA_ID),
    healthFactor: hundredths(0, 10),
    hardFloor: hundredths(1, 2),
    trigger: hundredths(1, 2),
    target: hundredths(1, 3),
    horizonBlocks: fc.integer({ min: 1, max: 1_024 }),
    returnsBps: fc.array(fc.integer({ min: -10_000, max: 10_000 }), { maxLength: 64 }),
    poolDeviationBps: fc.option(fc.integer({ min: -200, max: 200 }).map((n) => n * 10)),
    gasCostBps: fc.constantFrom(...GAS_COST_BUCKETS_BPS),
    liquidation: fc.record({
      thresholdBps: fc.integer({ min: 1, max: 10_000 }),
      bonusBps: fc.integer({ min: 0, max: 10_000 }),
      closeFactorBps: fc.integer({ min: 0, max: 10_000 }),
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
        expect(answer.reason.length).toBeLessThan(280)
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
