import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { MAX_HELD_BARS, MIN_BLOCKS_PER_BAR } from './barPath.ts'
import { CALM_BASE_FEE } from './baseFee.ts'
import { loadPriceFile, type PriceFile, type PriceRange } from './priceFile.ts'
import { STARTING_PRICE } from './scenario.ts'

const HEADER = 'datetime,open,high,low,close,volume'
const FALLING = '2020-03-12 10:00:00,200,210,100,150,5'
const RISING = '2020-03-12 11:00:00,150,180,140,160,5'

let directory: string
let count = 0

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rialto-prices-'))
})
afterAll(() => rm(directory, { recursive: true }))

async function write(content: string | Uint8Array): Promise<string> {
  count += 1
  const path = join(directory, `${count}.csv`)
  await writeFile(path, content)
  return path
}

const load = async (content: string | Uint8Array, range?: PriceRange): Promise<PriceFile> =>
  loadPriceFile(await write(content), range)

const csv = (...rows: string[]): string => [HEADER, ...rows, ''].join('\n')

/** A flat hour that opens at that hour of 1 January 2021. */
const hour = (index: number, price = 100): string =>
  `${new Date(Date.UTC(2021, 0, 1, index)).toISOString()},${price},${price},${price},${price},1`

const dollarsOf = (file: PriceFile, blocks = file.defaultBlocks): number[] =>
  file.path({ seed: 1, blocks }).map(({ market }) => Number(market) / 1e8)

async function failure(promise: Promise<unknown>): Promise<InvalidInputError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InvalidInputError)
  return error as InvalidInputError
}

describe('a bar', () => {
  it('that closes lower goes from open through high and low to close; one that closes higher takes the low first', async () => {
    expect(dollarsOf(await load(csv(FALLING, RISING)))).toEqual([
      // Open 2,000, high 2,100 after four steps, low 1,000 after three more, close 1,500.
      2_000, 2_025, 2_050, 2_075, 2_100, 1_733.33333333, 1_366.66666667, 1_000, 1_125, 1_250, 1_375, 1_500,
      // Open 1,500, low 1,400, high 1,800, close 1,600.
      1_500, 1_475, 1_450, 1_425, 1_400, 1_533.33333333, 1_666.66666667, 1_800, 1_750, 1_700, 1_650, 1_600,
    ])
  })

  it('that closes where it opened takes the low first', async () => {
    const file = await load(csv('2020-03-12,100,120,80,100,1'))
    expect([4, 7].map((block) => dollarsOf(file)[block])).toEqual([1_600, 2_400])
  })

  it('shows all of its four prices and nothing outside of them, over any number of blocks', async () => {
    const bars = fc.array(
      fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 4, maxLength: 4 }).map((prices) => {
        const [low = 1, first = 1, second = 1, high = 1] = prices.toSorted((a, b) => a - b)
        return prices[0] === first
          ? { open: first, high, low, close: second }
          : { open: second, high, low, close: first }
      }),
      { minLength: 1, maxLength: 5 },
    )
    await fc.assert(
      fc.asyncProperty(bars, fc.nat(40), async (drawn, more) => {
        const rows = drawn.map(({ open, high, low, close }, index) =>
          [new Date(index * 3_600_000).toISOString(), open, high, low, close, 1].join(),
        )
        const file = await load(csv(...rows))
        const blocks = file.defaultBlocks + more
        const path = file.path({ seed: 1, blocks })
        expect(path).toHaveLength(blocks)
        expect(path[0]?.market).toBe(STARTING_PRICE)
        const scale = 2_000 / (drawn[0]?.open ?? 1)
        for (const [index, bar] of drawn.entries()) {
          const seen = path
            .slice(
              Math.floor((index * blocks) / drawn.length),
              Math.floor(((index + 1) * blocks) / drawn.length),
            )
            .map(({ market }) => Number(market) / 1e8)
          expect(seen[0]).toBeCloseTo(bar.open * scale, 6)
          expect(seen.at(-1)).toBeCloseTo(bar.close * scale, 6)
          expect(Math.min(...seen)).toBeCloseTo(bar.low * scale, 6)
          expect(Math.max(...seen)).toBeCloseTo(bar.high * scale, 6)
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('a path', () => {
  it('is the same for every seed, keeps oracle and market together and starts calm', async () => {
    const file = await load(csv(FALLING, RISING))
    const path = file.path({ seed: 1, blocks: 24 })
    expect(file.path({ seed: 2, blocks: 24 })).toEqual(path)
    expect(path.every(({ oracle, market }) => oracle === market)).toBe(true)
    expect(path[0]?.baseFeePerGas).toBe(CALM_BASE_FEE)
    expect(path.some(({ baseFeePerGas }) => baseFeePerGas > CALM_BASE_FEE)).toBe(true)
  })

  it('takes 12 blocks a bar by default, more when asked, and never fewer', async () => {
    const file = await load(csv(FALLING, RISING))
    expect(file).toMatchObject({ defaultBlocks: 24, minBlocks: 24, passRule: 'completes', bars: 2 })
    expect(dollarsOf(file, 25)).toHaveLength(25)
    expect(() => file.path({ seed: 1, blocks: 23 })).toThrow(
      'plays over 24 to 1000000 blocks (at least 12 for each bar played or held), and 23 were asked for.',
    )
  })

  it('keeps the digits of a price that is tiny, and of one with an exponent', async () => {
    const file = await load(csv('2021-01-01,0.000012345678,1.5e-5,1E-05,0.00001,0'))
    expect(dollarsOf(file).at(-1)).toBeCloseTo((2_000 * 0.00001) / 0.000012345678, 7)
  })
})

describe('gaps', () => {
  it('are counted against the usual interval, said, and hold the last price', async () => {
    const file = await load(csv(hour(0, 100), hour(1, 110), hour(4, 120), hour(5, 130)))
    expect(file.intervalMs).toBe(3_600_000)
    expect(file.gaps).toEqual([
      { line: 4, fromMs: Date.UTC(2021, 0, 1, 1), toMs: Date.UTC(2021, 0, 1, 4), missing: 2, held: 2 },
    ])
    expect(file.summary).toBe(
      '4 bars from 2021-01-01T00:00Z to 2021-01-01T05:00Z; 2 missing in 1 gap, the last price held for 2',
    )
    expect(file.defaultBlocks).toBe(6 * MIN_BLOCKS_PER_BAR)
    const levels = dollarsOf(file)
    expect(levels.slice(12, 48).every((level) => level === 2_200)).toBe(true)
    expect(levels[48]).toBe(2_400)
  })

  it('are held for a day of bars at most', async () => {
    const file = await load(csv(hour(0), hour(1), hour(1_000), hour(1_001)))
    expect(file.gaps).toMatchObject([{ missing: 998, held: MAX_HELD_BARS }])
    expect(file.defaultBlocks).toBe((4 + MAX_HELD_BARS) * MIN_BLOCKS_PER_BAR)
  })

  it('count within the range alone, by the interval of the whole file', async () => {
    const text = csv(hour(0), hour(1), hour(2), hour(5), hour(6), hour(9))
    expect((await load(text, { from: '2021-01-01T05:00Z' })).gaps).toMatchObject([{ missing: 2 }])
    expect((await load(text, { to: '2021-01-01T02:00Z' })).gaps).toEqual([])
  })

  it('are none where a bar is merely late, and none in a single bar', async () => {
    const late = '2021-01-01T02:20:00.000Z,1,1,1,1,1'
    expect((await load(csv(hour(0), hour(1), late, hour(3), hour(4)))).gaps).toEqual([])
    expect(await load(csv(hour(0)))).toMatchObject({ gaps: [], intervalMs: undefined, defaultBlocks: 12 })
  })
})

describe('a range', () => {
  const days = csv(...Array.from({ length: 72 }, (_, index) => hour(index, 100 + index)))

  it.each<[PriceRange, number, string]>([
    [{}, 72, 'everything'],
    [{ from: '2021-01-02' }, 48, 'a date is its midnight'],
    [{ to: '2021-01-02' }, 48, 'a date means through its end'],
    [{ from: '2021-01-02', to: '2021-01-02' }, 24, 'one day'],
    [
      { from: '2021-01-02 12:00', to: '2021-01-02T14:00:00' },
      3,
      'a time is inclusive, and UTC without a zone',
    ],
    [{ from: '2021-01-02T12:00+02:00', to: '2021-01-02T12:00Z' }, 3, 'a zone counts'],
    [{ from: String(Date.UTC(2021, 0, 3) / 1_000) }, 24, 'epoch seconds'],
    [{ from: '2019-01-01', to: '2030-01-01' }, 72, 'what lies beyond the file is passed over'],
  ])('%j plays %d bars: %s', async (range, bars) => {
    expect((await load(days, range)).bars).toBe(bars)
  })

  it('starts at 2,000 dollars wherever it starts', async () => {
    expect(dollarsOf(await load(days, { from: '2021-01-03' }))[0]).toBe(2_000)
  })

  it.each<[PriceRange, string]>([
    [{ from: '2021-01-04', to: '2021-01-03' }, '--from 2021-01-04 is after --to 2021-01-03'],
    [{ from: '2021-01-05' }, 'has no bar from 2021-01-05'],
    [{ from: '2020-01-01', to: '2020-12-31' }, 'has no bar from 2020-01-01 to 2020-12-31'],
    [{ from: '2021-01-01T00:10Z', to: '2021-01-01T00:50Z' }, 'has no bar'],
    [{ from: 'yesterday' }, '--from "yesterday" is no date and no time'],
    [{ to: '2021-02-30' }, '--to "2021-02-30" is no date and no time'],
    [{ to: '' }, '--to "" is no date and no time'],
  ])('%j is an error', async (range, message) => {
    const error = await failure(load(days, range))
    expect(error).toMatchObject({ code: 'PRICE_RANGE', fix: expect.any(String) })
    expect(error.message).toContain(message)
  })

  it('that takes too many blocks is an error that says how many', async () => {
    const minutes = Array.from({ length: 83_334 }, (_, index) => `${1_600_000_000 + 60 * index},1,1,1,1,1`)
    const error = await failure(load(csv(...minutes)))
    expect(error).toMatchObject({ code: 'PRICE_RANGE', details: { blocks: 1_000_008, max: 1_000_000 } })
  })
})
