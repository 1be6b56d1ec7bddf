import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvariantError } from '../../core/errors.ts'
import { nextTickWithinWord, ticksInWord, wordEnd, wordOf, wordStart } from './tickBitmap.ts'
import {
  getSqrtRatioAtTick,
  getTickAtSqrtRatio,
  MAX_SQRT_RATIO,
  MAX_TICK,
  MIN_SQRT_RATIO,
  MIN_TICK,
} from './tickMath.ts'

describe('getSqrtRatioAtTick', () => {
  // From v3-core's own tests: TickMath.spec.ts and its snapshots.
  it.each([
    [MIN_TICK, 4_295_128_739n],
    [MIN_TICK + 1, 4_295_343_490n],
    [MAX_TICK - 1, 1_461_373_636_630_004_318_706_518_188_784_493_106_690_254_656_249n],
    [MAX_TICK, 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342n],
    [0, 79_228_162_514_264_337_593_543_950_336n],
    [50, 79_426_470_787_362_580_746_886_972_461n],
    [-50, 79_030_349_367_926_598_376_800_521_322n],
    [100, 79_625_275_426_524_748_796_330_556_128n],
    [-100, 78_833_030_112_140_176_575_862_854_579n],
    [250, 80_224_679_980_005_306_637_834_519_095n],
    [500, 81_233_731_461_783_161_732_293_370_115n],
    [1_000, 83_290_069_058_676_223_003_182_343_270n],
    [2_500, 89_776_708_723_587_163_891_445_672_585n],
    [3_000, 92_049_301_871_182_272_007_977_902_845n],
    [4_000, 96_768_528_593_268_422_080_558_758_223n],
    [5_000, 101_729_702_841_318_637_793_976_746_270n],
    [50_000, 965_075_977_353_221_155_028_623_082_916n],
    [150_000, 143_194_173_941_309_278_083_010_301_478_497n],
    [250_000, 21_246_587_762_933_397_357_449_903_968_194_344n],
    [500_000, 5_697_689_776_495_288_729_098_254_600_827_762_987_878n],
    [738_203, 847_134_979_253_254_120_489_401_328_389_043_031_315_994_541n],
  ])('gives the published ratio of tick %i', (tick, ratio) => {
    expect(getSqrtRatioAtTick(tick)).toBe(ratio)
  })

  it.each([MIN_TICK - 1, MAX_TICK + 1, 0.5, Number.NaN])('refuses %d', (tick) => {
    expect(() => getSqrtRatioAtTick(tick)).toThrow(InvariantError)
  })
})

describe('getTickAtSqrtRatio', () => {
  const anyTick = fc.integer({ min: MIN_TICK, max: MAX_TICK - 1 })

  it('is the inverse at a tick, just before it and just after it', () => {
    fc.assert(
      fc.property(anyTick, (tick) => {
        const ratio = getSqrtRatioAtTick(tick)
        expect(getTickAtSqrtRatio(ratio)).toBe(tick)
        if (tick > MIN_TICK) expect(getTickAtSqrtRatio(ratio - 1n)).toBe(tick - 1)
        const next = getSqrtRatioAtTick(tick + 1)
        expect(getTickAtSqrtRatio(next - 1n)).toBe(tick)
      }),
      { numRuns: 2_000 },
    )
  })

  it('knows its edges', () => {
    expect(getTickAtSqrtRatio(MIN_SQRT_RATIO)).toBe(MIN_TICK)
    expect(getTickAtSqrtRatio(MAX_SQRT_RATIO - 1n)).toBe(MAX_TICK - 1)
    expect(() => getTickAtSqrtRatio(MIN_SQRT_RATIO - 1n)).toThrow(InvariantError)
    expect(() => getTickAtSqrtRatio(MAX_SQRT_RATIO)).toThrow(InvariantError)
  })
})

describe('the tick bitmap', () => {
  const anySpacing = fc.constantFrom(1, 10, 60, 200)
  const anyCompressed = fc.integer({ min: -4_000, max: 4_000 })

  it('has every tick in the word that says so', () => {
    fc.assert(
      fc.property(anySpacing, anyCompressed, (spacing, compressed) => {
        const tick = compressed * spacing
        const word = wordOf(tick, spacing)
        expect(wordStart(word, spacing)).toBeLessThanOrEqual(tick)
        expect(wordEnd(word, spacing)).toBeGreaterThanOrEqual(tick)
        const bit = compressed - word * 256
        expect(ticksInWord(1n << BigInt(bit), word, spacing)).toEqual([tick])
      }),
    )
  })

  it('steps to the next initialised tick of a word, or to its edge', () => {
    fc.assert(
      fc.property(
        anySpacing,
        fc.uniqueArray(anyCompressed, { maxLength: 30 }),
        fc.integer({ min: -800_000, max: 800_000 }),
        fc.boolean(),
        (spacing, compressed, tick, lte) => {
          const initialized = compressed.map((index) => index * spacing).sort((a, b) => a - b)
          // Bit by bit, as the contract's comment tells it.
          const at = Math.floor(tick / spacing)
          let index = lte ? at : at + 1
          const isEdge = (i: number) => (lte ? i % 256 === 0 : (i + 1) % 256 === 0)
          while (!initialized.includes(index * spacing) && !isEdge(index)) index += lte ? -1 : 1
          expect(nextTickWithinWord(initialized, tick, spacing, lte)).toEqual({
            tick: index * spacing,
            isInitialized: initialized.includes(index * spacing),
          })
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
