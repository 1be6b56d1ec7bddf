import { basename } from 'node:path'
import { formatUsd, mulDiv, type Usd, usd } from '../../../runtime/core/units.ts'
import {
  findGaps,
  type Gap,
  heldBars,
  MIN_BLOCKS_PER_BAR,
  modalInterval,
  scaleToWorld,
  seriesCourse,
} from './barPath.ts'
import { type BarTime, formatTime, MS_PER_DAY, parseBarTime } from './barTime.ts'
import { baseFeeFollowing } from './baseFee.ts'
import { PriceFileRowError, PriceRangeError } from './errors.ts'
import { type Bar, parseBars } from './parseBars.ts'
import { readPriceText } from './readPriceText.ts'
import { checkBlocks, checkSeed, type Scenario, STARTING_PRICE } from './scenario.ts'

/** The most blocks that a price file is played over: days of running. */
const MAX_FILE_BLOCKS = 1_000_000

/** The highest price of the world: 1 billion dollars; more is a slip in the file, not a market. */
const MAX_PRICE: Usd = usd(10n ** 9n * 10n ** 8n)

/** Which part of a price file to play. */
export type PriceRange = {
  /** The first moment: a date (its midnight) or a time, as in the file; UTC where there is no zone. */
  readonly from?: string
  /** The last moment: a time is inclusive, and a date means through the end of that date, in UTC. */
  readonly to?: string
}

/** A price file that was read and found right, as a scenario with what there is to say about it. */
export type PriceFile = Scenario & {
  readonly passRule: 'completes'
  /** The path as it was given. */
  readonly file: string
  /** How many bars are played. */
  readonly bars: number
  /** When the first and the last of these opened, in milliseconds since the epoch. */
  readonly firstMs: number
  readonly lastMs: number
  /** The usual time between two bars of the whole file in milliseconds; `undefined` when it has only one. */
  readonly intervalMs: number | undefined
  /** Where bars are missing between the first and the last one played. */
  readonly gaps: readonly Gap[]
}

/**
 * Reads an OHLCV file and checks every row of it, so that whatever is wrong is said before anything starts.
 *
 * - Format: see {@link parseBars}. UTF-8, with or without a byte order mark.
 * - Range: a bar is dated by its opening, and those from `from` to `to` are played. The range may reach beyond
 *   the file; what it holds of it is what is played.
 * - Blocks: a bar takes {@link MIN_BLOCKS_PER_BAR} blocks by default, on the way {@link seriesCourse} describes;
 *   more when more are asked for.
 * - Gaps: bars missing against the file's usual interval are listed, and the last close is held for as many
 *   blocks, for up to {@link MAX_HELD_BARS} bars a gap.
 * - Scale: the first open played is the world's 2,000 dollars, and all ratios are kept.
 * - Seed: nothing is random here, so every seed gives the same path. The base fee follows the speed of the fall.
 *
 * @throws {PriceFileUnreadableError} when it cannot be read, is too large, or is no UTF-8 text.
 * @throws {PriceFileHeaderError | PriceFileRowError | PriceFileTimeError} naming the line, see {@link parseBars}.
 * @throws {PriceRangeError} when `from` or `to` is no time, `from` is after `to`, there is no bar to play, or
 * it takes more than {@link MAX_FILE_BLOCKS} blocks.
 * @example
 * const crash = await loadPriceFile('eth-1h.csv', { from: '2022-11-07', to: '2022-11-10' })
 * crash.bars // 96
 * crash.path({ seed: 1, blocks: crash.defaultBlocks }).length // 1152
 */
export async function loadPriceFile(file: string, range: PriceRange = {}): Promise<PriceFile> {
  const limits = readRange(range)
  const all = parseBars(await readPriceText(file), file)
  const bars = all.filter((bar) => bar.ms >= limits.fromMs && bar.ms < limits.beforeMs)
  const [first, last] = [bars[0], bars.at(-1)]
  if (first === undefined || last === undefined) throw emptyRange(file, all, range)
  const intervalMs = modalInterval(all)
  const gaps = intervalMs === undefined ? [] : findGaps(bars, intervalMs)
  checkScale(bars, first.open, file)
  const minBlocks = (bars.length + heldBars(gaps)) * MIN_BLOCKS_PER_BAR
  const bounds = {
    name: basename(file),
    minBlocks,
    maxBlocks: MAX_FILE_BLOCKS,
    minBlocksReason: `at least ${MIN_BLOCKS_PER_BAR} for each bar played or held`,
  }
  if (minBlocks > MAX_FILE_BLOCKS) throw tooManyBars(file, bars.length, minBlocks)
  return {
    ...bounds,
    file,
    summary: summarise(bars.length, first.ms, last.ms, gaps),
    defaultBlocks: minBlocks,
    passRule: 'completes',
    bars: bars.length,
    firstMs: first.ms,
    lastMs: last.ms,
    intervalMs,
    gaps,
    path: ({ seed, blocks }) => {
      checkBlocks(bounds, blocks)
      checkSeed(seed)
      const baseFee = baseFeeFollowing(blocks / minBlocks)
      return seriesCourse(bars, gaps, blocks).map((price) => {
        const level = scaleToWorld(price, first.open)
        return { oracle: level, market: level, baseFeePerGas: baseFee(level) }
      })
    },
  }
}

function summarise(bars: number, firstMs: number, lastMs: number, gaps: readonly Gap[]): string {
  const played = `${counted(bars, 'bar')} from ${formatTime(firstMs)} to ${formatTime(lastMs)}`
  const missing = gaps.reduce((sum, gap) => sum + gap.missing, 0)
  if (missing === 0) return `${played}, no gaps`
  return `${played}; ${missing} missing in ${counted(gaps.length, 'gap')}, the last price held for ${heldBars(gaps)}`
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** The range as milliseconds: from `fromMs` on, and before `beforeMs`. */
function readRange({ from, to }: PriceRange): { fromMs: number; beforeMs: number } {
  const fromMs = from === undefined ? Number.NEGATIVE_INFINITY : readLimit('from', from).ms
  if (to === undefined) return { fromMs, beforeMs: Number.POSITIVE_INFINITY }
  const limit = readLimit('to', to)
  const beforeMs = limit.ms + (limit.format === 'ISO date' ? MS_PER_DAY : 1)
  if (fromMs < beforeMs) return { fromMs, beforeMs }
  throw new PriceRangeError(`--from ${from} is after --to ${to}.`, 'Swap them.', { from, to })
}

function readLimit(option: 'from' | 'to', text: string): BarTime {
  const time = parseBarTime(text)
  if (time !== undefined) return time
  throw new PriceRangeError(
    `--${option} "${text}" is no date and no time.`,
    'Write it like 2022-11-07 or 2022-11-07T13:00Z.',
    { [option]: text },
  )
}

function emptyRange(file: string, all: readonly Bar[], range: PriceRange): PriceRangeError {
  const [first, last] = [all[0]?.ms ?? 0, all.at(-1)?.ms ?? 0]
  return new PriceRangeError(
    `${file} has no bar ${describeRange(range)}.`,
    `It holds bars from ${formatTime(first)} to ${formatTime(last)}.`,
    { file, ...range, firstMs: first, lastMs: last },
  )
}

const describeRange = ({ from, to }: PriceRange): string =>
  [from === undefined ? '' : `from ${from}`, to === undefined ? '' : `to ${to}`].join(' ').trim()

/** Prices that the world cannot be set to, for all that their ratios are right. */
function checkScale(bars: readonly Bar[], firstOpen: bigint, file: string): void {
  for (const { low, high, line } of bars) {
    // An 8-decimal oracle cannot report so deep a crash.
    if (mulDiv(low, STARTING_PRICE, firstOpen, 'half-up') === 0n)
      throw new PriceFileRowError({ file, line }, 'this low, scaled to the first open, rounds to zero.')
    if (mulDiv(high, STARTING_PRICE, firstOpen, 'half-up') > MAX_PRICE)
      throw new PriceFileRowError(
        { file, line },
        `this high, scaled to the first open, is above ${formatUsd(MAX_PRICE)} dollars.`,
      )
  }
}

const tooManyBars = (file: string, bars: number, blocks: number): PriceRangeError =>
  new PriceRangeError(
    `${bars} bars of ${file} take ${blocks} blocks, and at most ${MAX_FILE_BLOCKS} are played.`,
    'Narrow the range with --from and --to.',
    { file, bars, blocks, max: MAX_FILE_BLOCKS },
  )
