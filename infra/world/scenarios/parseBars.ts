import { CsvError, parse } from 'csv-parse/sync'
import { type BarTime, parseBarTime } from './barTime.ts'
import { PriceFileHeaderError, PriceFileRowError, PriceFileTimeError, PriceRangeError } from './errors.ts'

/** A file's prices carry 18 decimals: what is quoted in a token of tiny value keeps its digits. */
const PRICE_DECIMALS = 18

/** One bar: four positive prices in the file's own currency, with {@link PRICE_DECIMALS} decimals. */
export type Bar = {
  /** When it opened, in milliseconds since the epoch. */
  readonly ms: number
  readonly open: bigint
  readonly high: bigint
  readonly low: bigint
  readonly close: bigint
  /** The line of the file that it was read from. */
  readonly line: number
}

type Row = { readonly fields: readonly string[]; readonly line: number }
type Columns = {
  readonly count: number
  readonly time: number
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  readonly volume: number | undefined
}
type At = { readonly file: string; readonly line: number }

const TIME_COLUMNS = ['datetime', 'timestamp']
const PRICE_COLUMNS = ['open', 'high', 'low', 'close'] as const

/**
 * Reads OHLCV bars from CSV text.
 *
 * The first row is a header that names `datetime` or `timestamp` (the first of them counts when both are there)
 * and `open`, `high`, `low`, `close`, in any order and letter case. `volume`, when it is there, has to be a
 * number too; other columns are left alone. Fields may be quoted, lines may end in LF or CRLF, and empty lines
 * are passed over.
 *
 * @param file names the file in errors
 * @returns at least one bar, in strictly ascending order of time
 * @throws {PriceFileHeaderError} when the header is missing or lacks a column.
 * @throws {PriceFileRowError} at the first row that is malformed: not as many columns as the header, a price that
 * is no positive number, a high below the low, an open or close outside of them.
 * @throws {PriceFileTimeError} at the first time that is unreadable, in another format than the first row's, the
 * same as the one before it, or earlier.
 * @throws {PriceRangeError} when there is no row below the header.
 */
export function parseBars(text: string, file: string): Bar[] {
  const bars: Bar[] = []
  const inOrder = orderCheck(file)
  let columns: Columns | undefined
  eachRow(text, file, (row) => {
    if (columns === undefined) {
      columns = findColumns(row, file)
      return
    }
    const time = parseRowTime(row, columns, file)
    inOrder(time, row)
    bars.push(parseBar(row, time, columns, file))
  })
  if (columns === undefined)
    throw new PriceFileHeaderError({ file, line: 1 }, 'the file is empty, so there is no header.')
  if (bars.length > 0) return bars
  throw new PriceRangeError(
    `${file} has a header and no bar below it.`,
    'Give a file with at least one row.',
    {
      file,
    },
  )
}

/** Hands over one row at a time: a file of years by the minute has a million, too many to hold as text. */
function eachRow(text: string, file: string, take: (row: Row) => void): void {
  try {
    parse(text, {
      trim: true,
      record_delimiter: ['\r\n', '\n', '\r'],
      skip_empty_lines: true,
      // Counted against the header later, where the message can say more.
      relax_column_count: true,
      max_record_size: 65_536,
      on_record: (fields: string[], { lines }) => {
        take({ fields, line: lines })
        // Returning nothing keeps csv-parse from collecting the rows itself.
        return null
      },
    })
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new PriceFileRowError(
      { file, line: Number(error.lines) },
      `this is no CSV: ${error.message}.`,
      error,
    )
  }
}

function findColumns({ fields, line }: Row, file: string): Columns {
  const names = fields.map((name) => name.toLowerCase())
  const at = { file, line }
  const twice = names.find((name, index) => isKnown(name) && names.indexOf(name) !== index)
  if (twice !== undefined) throw new PriceFileHeaderError(at, `the header names the column ${twice} twice.`)
  const column = (name: string): number => {
    const index = names.indexOf(name)
    if (index === -1) throw new PriceFileHeaderError(at, `the header has no column ${name}.`)
    return index
  }
  const time = names.findIndex((name) => TIME_COLUMNS.includes(name))
  if (time === -1)
    throw new PriceFileHeaderError(at, 'the header has neither a column datetime nor a column timestamp.')
  const volume = names.indexOf('volume')
  return {
    count: names.length,
    time,
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: volume === -1 ? undefined : volume,
  }
}

const isKnown = (name: string): boolean =>
  name === 'volume' || TIME_COLUMNS.includes(name) || PRICE_COLUMNS.some((known) => known === name)

function parseRowTime({ fields, line }: Row, columns: Columns, file: string): BarTime {
  if (fields.length !== columns.count)
    throw new PriceFileRowError(
      { file, line },
      `this row has ${fields.length} columns, and the header has ${columns.count}.`,
    )
  const text = fields[columns.time] ?? ''
  const time = parseBarTime(text)
  if (time === undefined)
    throw new PriceFileTimeError(
      { file, line },
      `"${excerpt(text)}" is no time.`,
      'Write times like 2020-03-12 10:00:00 (UTC), 2020-03-12T10:00:00Z, or as epoch seconds or milliseconds.',
    )
  return time
}

/** Holds each time against the one before it. */
function orderCheck(file: string): (time: BarTime, row: Row) => void {
  let before: (BarTime & { line: number }) | undefined
  return (time, { line }) => {
    const at = { file, line }
    if (before !== undefined && time.format !== before.format)
      throw new PriceFileTimeError(
        at,
        `this time is written as ${time.format}, and line ${before.line} has ${before.format}.`,
        'Write all times of a file in the same way.',
      )
    if (before !== undefined && time.ms === before.ms)
      throw new PriceFileTimeError(
        at,
        `this is the same time as on line ${before.line}.`,
        'Remove one of the two rows.',
      )
    if (before !== undefined && time.ms < before.ms)
      throw new PriceFileTimeError(
        at,
        `this time is earlier than the one on line ${before.line}.`,
        'Sort the rows by time, oldest first.',
      )
    before = { ...time, line }
  }
}

function parseBar({ fields, line }: Row, { ms }: BarTime, columns: Columns, file: string): Bar {
  const at = { file, line }
  const [open, high, low, close] = PRICE_COLUMNS.map((name) =>
    parsePrice(fields[columns[name]] ?? '', name, at),
  )
  if (open === undefined || high === undefined || low === undefined || close === undefined)
    throw new PriceFileRowError(at, 'a price is missing.')
  if (high < low) throw new PriceFileRowError(at, 'the high is below the low.')
  if (open < low || open > high) throw new PriceFileRowError(at, 'the open lies outside of low and high.')
  if (close < low || close > high) throw new PriceFileRowError(at, 'the close lies outside of low and high.')
  if (columns.volume !== undefined) parseNumber(fields[columns.volume] ?? '', 'volume', at)
  return { ms, open, high, low, close, line }
}

function parsePrice(text: string, name: string, at: At): bigint {
  const price = parseNumber(text, name, at)
  if (price === 0n) throw new PriceFileRowError(at, `the ${name} has to be above zero.`)
  return price
}

const NUMBER = /^(\d{1,40})(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,2}))?$/

/** A non-negative decimal number, with or without an exponent; digits beyond the 18th decimal are cut off. */
function parseNumber(text: string, name: string, at: At): bigint {
  const match = NUMBER.exec(text)
  if (match === null)
    throw new PriceFileRowError(at, `the ${name} "${excerpt(text)}" is no non-negative number.`)
  const [, whole = '', fraction = '', exponent = '0'] = match
  const digits = BigInt(whole + fraction)
  const shift = PRICE_DECIMALS - fraction.length + Number(exponent)
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift)
}

/** As much of a field as fits into one line of an error. */
const excerpt = (text: string): string => {
  const line = text.replace(/\s+/g, ' ')
  return line.length > 40 ? `${line.slice(0, 40)}…` : line
}
