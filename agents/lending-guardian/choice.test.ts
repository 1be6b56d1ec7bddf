import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cleanReason, judgeAnswer, MAX_REASON_LENGTH } from './choice.ts'
import { SITUATION_SCHEMA_ID, type Situation } from './schema.ts'

const situation: Situation = {
  schema: SITUATION_SCHEMA_ID,
  healthFactor: 1.08,
  hardFloor: 1.08,
  target: 1.3,
  horizonBlocks: 50,
  market: { volatilityBps: 20, driftBps: 0, poolDeviationBps: 0 },
  liquidation: { bonusBps: 750, closeFactorBps: 5_000 },
  candidates: [
    {
      id: 'c1',
      kind: 'protect',
      sizeBounds: [1, 50],
      projections: [{ size: 50, healthFactorAfter: 1.2, costBps: 30, debtAfter: 1 }],
    },
    {
      id: 'c2',
      kind: 'wait',
      sizeBounds: [0, 0],
      projections: [{ size: 0, healthFactorAfter: 1.08, costBps: 0, debtAfter: 1 }],
    },
  ],
}

describe('judgeAnswer', () => {
  const judge = (candidate: string, size: number, healthFactor = 1.08) =>
    judgeAnswer({ ...situation, healthFactor }, { candidate, size, reason: '' })

  it('takes both ends of the bounds and nothing beyond', () => {
    expect(judge('c1', 1)).toBeNull()
    expect(judge('c1', 50)).toBeNull()
    expect(judge('c1', 0)).toBe('SIZE_OUT_OF_BOUNDS')
    expect(judge('c1', 51)).toBe('SIZE_OUT_OF_BOUNDS')
    expect(judge('c1', 20.5)).toBe('SIZE_OUT_OF_BOUNDS')
    expect(judge('c1', Number.NaN)).toBe('SIZE_OUT_OF_BOUNDS')
  })

  it('knows only the candidates that there are, spelled as they are', () => {
    for (const id of ['c3', 'C1', 'c1 ', '', 'constructor']) expect(judge(id, 20)).toBe('UNKNOWN_CANDIDATE')
  })

  it('lets nobody wait under the hard floor', () => {
    expect(judge('c2', 0)).toBeNull()
    expect(judge('c2', 0, 1.07)).toBe('WAIT_UNDER_FLOOR')
  })
})

describe('cleanReason', () => {
  it('leaves plain text as it is', () => {
    expect(cleanReason('Volatility is high: 40 % — “sell”')).toBe("Volatility is high: 40 % — 'sell'")
  })

  it('cuts what is long, between characters', () => {
    const long = cleanReason('😀'.repeat(1_000))
    expect([...long]).toHaveLength(MAX_REASON_LENGTH)
    expect(long.endsWith('😀…')).toBe(true)
  })

  it('is one bounded line without control or format characters or quotation marks, whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        const clean = cleanReason(text)
        expect(clean).not.toMatch(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}"“”„«»]/u)
        expect([...clean].length).toBeLessThanOrEqual(MAX_REASON_LENGTH)
        expect(clean).toBe(clean.trim())
        expect(cleanReason(clean)).toBe(clean)
      }),
      { numRuns: 500 },
    )
  })
})
