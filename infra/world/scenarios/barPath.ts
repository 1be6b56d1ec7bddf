import { mulDiv, type Usd, usd } from '../../../runtime/core/units.ts'
import type { Bar } from './parseBars.ts'
import { STARTING_PRICE } from './scenario.ts'

/** The fewest blocks that one bar is spread over: fewer, and an hour's crash is a single step. */
export const MIN_BLOCKS_PER_BAR = 12

/**
 * The most bars that are held for one gap. A hole of a year is no reason to stare at a flat line for a hundred
 * thousand blocks.
 */
export const MAX_HELD_BARS = 24

/** What is missing before a bar. */
export type Gap = {
  /** The line of the first bar after the gap. */
  readonly line: number
  /** When the last bar before the gap opened, and the first one after it: milliseconds since the epoch. */
  readonly fromMs: number
  readonly toMs: number
  /** How many bars should have been between them. */
  readonly missing: number
  /** For how many of these the last price is held: at most {@link MAX_HELD_BARS}. */
  readonly held: number
}

/**
 * The time from one bar to the next that occurs most often; of those that occur equally often, the shortest.
 *
 * @param bars in ascending order
 * @returns milliseconds, or `undefined` for a single bar
 */
export function modalInterval(bars: readonly Bar[]): number | undefined {
  const counts = new Map<number, number>()
  for (const [index, bar] of bars.entries()) {
    const before = bars[index - 1]
    if (before !== undefined) counts.set(bar.ms - before.ms, (counts.get(bar.ms - before.ms) ?? 0) + 1)
  }
  const [mode] = [...counts].sort(([a, m], [b, n]) => n - m || a - b)
  return mode?.[0]
}

/**
 * Where bars are missing. A bar that comes at less than one and a half intervals is merely late: no gap.
 *
 * @param interval the time between bars in milliseconds, as {@link modalInterval} tells it
 */
export function findGaps(bars: readonly Bar[], interval: number): Gap[] {
  return bars.flatMap((bar, index) => {
    const before = bars[index - 1]
    if (before === undefined) return []
    const missing = Math.round((bar.ms - before.ms) / interval) - 1
    if (missing < 1) return []
    return [
      { line: bar.line, fromMs: before.ms, toMs: bar.ms, missing, held: Math.min(missing, MAX_HELD_BARS) },
    ]
  })
}

/**
 * The course of a price within a bar: open, low, high, close when it closes at or above its open, and open,
 * high, low, close when it closes below it; in between in straight lines. The way to the extreme against the
 * bar's direction comes first, as is usual where the order of the extremes is not on record.
 *
 * @param blocks at least four; the first is the open, the last the close, and the extremes lie at a third and at
 * two thirds of the way, so that all four prices are seen in a block
 * @returns prices in the bar's own unit, one per block, rounded towards the leg's start
 */
function barCourse(bar: Bar, blocks: number): bigint[] {
  const rises = bar.close >= bar.open
  const corners = [bar.open, rises ? bar.low : bar.high, rises ? bar.high : bar.low, bar.close]
  const last = blocks - 1
  const ends = [0, Math.round(last / 3), Math.round((2 * last) / 3), last]
  const course = [bar.open]
  for (let leg = 1; leg < corners.length; leg++) {
    const [from, to] = [corners[leg - 1] ?? bar.open, corners[leg] ?? bar.close]
    const start = ends[leg - 1] ?? 0
    const length = (ends[leg] ?? last) - start
    for (let step = 1; step <= length; step++)
      course.push(from + ((to - from) * BigInt(step)) / BigInt(length))
  }
  return course
}

/**
 * The course of a whole series: each bar's {@link barCourse}, and for each gap the last close held.
 *
 * Blocks are dealt out evenly: with `slots` bars played or held, slot `i` ends at block
 * `floor((i + 1) * blocks / slots)`.
 *
 * @param blocks at least {@link MIN_BLOCKS_PER_BAR} per slot
 * @returns prices in the file's own unit, one per block
 */
export function seriesCourse(bars: readonly Bar[], gaps: readonly Gap[], blocks: number): bigint[] {
  const slots = bars.length + heldBars(gaps)
  const gapBefore = new Map(gaps.map((gap) => [gap.line, gap]))
  const course: bigint[] = []
  let slot = 0
  const blocksOfNextSlot = (): number => {
    slot += 1
    return Math.floor((slot * blocks) / slots) - course.length
  }
  for (const [index, bar] of bars.entries()) {
    const last = bars[index - 1]?.close ?? bar.open
    for (let held = gapBefore.get(bar.line)?.held ?? 0; held > 0; held--)
      for (let left = blocksOfNextSlot(); left > 0; left--) course.push(last)
    for (const price of barCourse(bar, blocksOfNextSlot())) course.push(price)
  }
  return course
}

/** For how many missing bars, in all, the last price is held. */
export const heldBars = (gaps: readonly Gap[]): number => gaps.reduce((sum, gap) => sum + gap.held, 0)

/**
 * A file's price in dollars of the world: the first open becomes the world's starting price, and ratios are kept.
 *
 * @param price and `firstOpen` in the same unit
 * @returns US dollars with 8 decimals, rounded to the nearest
 * @example scaleToWorld(97_385n, 194_770n) // half the first open: 1,000 dollars
 */
export const scaleToWorld = (price: bigint, firstOpen: bigint): Usd =>
  usd(mulDiv(price, STARTING_PRICE, firstOpen, 'half-up'))
