import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { PriceFileLineError } from './errors.ts'
import { parseBars } from './parseBars.ts'

const HEADER = 'datetime,open,high,low,close,volume'
const ROW = '2020-03-12 10:00:00,168.27,168.99,122.73,131.74,1372560.29'
const NEXT = '2020-03-12 11:00:00,131.63,149.0,118.27,136.86,760551.095'

const text = (...rows: string[]): string => rows.join('\n')

/** A file whose third line is one bar with these prices. */
const withPrices = (prices: string): string => text(HEADER, ROW, `2020-03-12 11:00:00,${prices}`)

function failure(content: string): PriceFileLineError {
  try {
    parseBars(content, 'eth.csv')
  } catch (error) {
    if (error instanceof PriceFileLineError) return error
    throw error
  }
  throw new RialtoError('TEST', 'There was no error.')
}

describe('what is read', () => {
  const expected = [
    {
      ms: Date.UTC(2020, 2, 12, 10),
      open: 168_270_000_000_000_000_000n,
      high: 168_990_000_000_000_000_000n,
      low: 122_730_000_000_000_000_000n,
      close: 131_740_000_000_000_000_000n,
    },
    {
      ms: Date.UTC(2020, 2, 12, 11),
      open: 131_630_000_000_000_000_000n,
      high: 149_000_000_000_000_000_000n,
      low: 118_270_000_000_000_000_000n,
      close: 136_860_000_000_000_000_000n,
    },
  ]

  it.each<[string, string]>([
    ['LF', `${text(HEADER, ROW, NEXT)}\n`],
    ['no line end at the end', text(HEADER, ROW, NEXT)],
    ['CRLF', `${[HEADER, ROW, NEXT].join('\r\n')}\r\n`],
    ['CR', [HEADER, ROW, NEXT].join('\r')],
    ['mixed line ends', `${HEADER}\r\n${ROW}\n${NEXT}\r\n`],
    ['empty lines', text('', HEADER, '', ROW, '', '', NEXT, '')],
    ['quoted fields', text(HEADER, ROW, NEXT).replace(/[^,\n]+/g, '"$&"')],
    ['spaces around fields', text(HEADER, ROW, NEXT).replaceAll(',', ' , ')],
    ['upper case in the header', text(HEADER.toUpperCase(), ROW, NEXT)],
    ['timestamp for datetime', text(HEADER.replace('datetime', 'timestamp'), ROW, NEXT)],
    ['further columns', text(`${HEADER},trades`, `${ROW},many`, `${NEXT},`)],
  ])('%s', (_, content) => {
    expect(parseBars(content, 'eth.csv')).toMatchObject(expected)
  })

  it('without a volume, with columns in another order, and with two columns of times', () => {
    const content = text(
      'close,low,high,open,timestamp,datetime',
      '131.74,122.73,168.99,168.27,1584007200,whenever',
    )
    expect(parseBars(content, 'eth.csv')).toEqual([{ ...expected[0], line: 2 }])
  })

  it('numbers lines as an editor does, empty ones included', () => {
    expect(parseBars(text(HEADER, '', ROW, '', NEXT), 'eth.csv').map(({ line }) => line)).toEqual([3, 5])
    expect(parseBars([HEADER, '', ROW, NEXT].join('\r\n'), 'eth.csv').map(({ line }) => line)).toEqual([3, 4])
  })

  it('every number to the last of 18 decimals, with or without an exponent', () => {
    const bar = parseBars(withPrices('1.5e1,2E+1,0.000000000000000001,0.1234567890123456789,0'), 'eth.csv')[1]
    expect(bar).toMatchObject({ open: 15n * 10n ** 18n, high: 20n * 10n ** 18n, low: 1n })
    expect(bar?.close).toBe(123_456_789_012_345_678n)
  })
})

describe('a malformed row names its file and line', () => {
  it.each<[string, string, string]>([
    ['a word for a price', '168,169,122,n/a,1', 'the close "n/a" is no non-negative number'],
    ['nothing for a price', '168,,122,131,1', 'the high "" is no non-negative number'],
    ['NaN', 'NaN,169,122,131,1', 'the open "NaN" is no'],
    ['infinity', '168,Infinity,122,131,1', 'the high "Infinity" is no'],
    ['hexadecimals', '0xff,0xff,0xff,0xff,1', 'the open "0xff" is no'],
    ['a decimal comma', '"168,5",169,122,131,1', 'the open "168,5" is no'],
    ['a negative price', '168,169,-122,131,1', 'the low "-122" is no'],
    ['zero', '168,169,0,131,1', 'the low has to be above zero'],
    ['less than the last decimal', '168,169,1e-19,131,1', 'the low has to be above zero'],
    ['a high below the low', '130,120,125,125,1', 'the high is below the low'],
    ['an open above the high', '170,169,122,131,1', 'the open lies outside of low and high'],
    ['an open below the low', '121,169,122,131,1', 'the open lies outside of low and high'],
    ['a close above the high', '168,169,122,170,1', 'the close lies outside of low and high'],
    ['a close below the low', '168,169,122,121,1', 'the close lies outside of low and high'],
    ['a volume that is none', '168,169,122,131,lots', 'the volume "lots" is no'],
    ['a negative volume', '168,169,122,131,-1', 'the volume "-1" is no'],
    ['a column too few', '168,169,122,131', 'this row has 5 columns, and the header has 6'],
    ['a column too many', '168,169,122,131,1,2', 'this row has 7 columns, and the header has 6'],
    ['an open quote', '168,169,122,"131,1', 'this is no CSV: Quote Not Closed'],
    ['a stray quote', '168,169,122,1"31,1', 'this is no CSV: Invalid Opening Quote'],
  ])('%s', (_, prices, message) => {
    const error = failure(withPrices(prices))
    expect(error).toMatchObject({ code: 'PRICE_FILE_ROW', file: 'eth.csv', line: 3, retryable: false })
    expect(error.message).toContain(`eth.csv:3: ${message}`)
  })

  it('however long the field is, in one line', () => {
    const error = failure(withPrices(`"${'x\n'.repeat(500)}",169,122,131,1`))
    expect(error.message.length).toBeLessThan(200)
    expect(error.message).not.toContain('\n')
    const endless = failure(text(HEADER, 'x'.repeat(100_000)))
    expect(endless).toMatchObject({ code: 'PRICE_FILE_ROW', line: 2 })
    expect(endless.message).toContain('Max Record Size')
  })
})

describe('a time that is wrong names its file and line', () => {
  const withTimes = (...times: string[]): string => text(HEADER, ...times.map((time) => `${time},1,1,1,1,1`))

  it.each<[string, string[], number, string]>([
    ['a word', ['noon'], 2, '"noon" is no time'],
    ['a day that is not in the calendar', ['2020-02-30'], 2, '"2020-02-30" is no time'],
    ['another notation of dates', ['2020-03-12', '13/03/2020'], 3, '"13/03/2020" is no time'],
    ['too few digits for an epoch', ['12345'], 2, '"12345" is no time'],
    ['the same time twice', ['2020-03-12', '2020-03-13', '2020-03-13'], 4, 'the same time as on line 3'],
    ['times out of order', ['2020-03-13', '2020-03-12'], 3, 'earlier than the one on line 2'],
    ['newest first', ['1584010800', '1584007200'], 3, 'earlier than the one on line 2'],
    [
      'seconds and milliseconds',
      ['1584007200', '1584010800000'],
      3,
      'written as epoch milliseconds, and line 2 has epoch seconds',
    ],
    [
      'with and without a zone',
      ['2020-03-12T10:00Z', '2020-03-12T11:00'],
      3,
      'written as ISO time, and line 2 has ISO time with a zone',
    ],
    [
      'dates and times',
      ['2020-03-12', '2020-03-13T00:00'],
      3,
      'written as ISO time, and line 2 has ISO date',
    ],
  ])('%s', (_, times, line, message) => {
    const error = failure(withTimes(...times))
    expect(error).toMatchObject({ code: 'PRICE_FILE_TIME', file: 'eth.csv', line })
    expect(error.message).toContain(message)
  })

  it('compares moments, not letters: the same moment in two zones is there twice', () => {
    expect(failure(withTimes('2020-03-12T10:00Z', '2020-03-12T12:00+02:00')).message).toContain(
      'the same time',
    )
  })
})

describe('a header that is wrong names its file and line', () => {
  it.each<[string, string, string]>([
    ['an empty file', '', 'eth.csv:1: the file is empty, so there is no header'],
    ['nothing but empty lines', '\n\n\n', 'eth.csv:1: the file is empty'],
    [
      'no header',
      text(ROW, NEXT),
      'eth.csv:1: the header has neither a column datetime nor a column timestamp',
    ],
    ['no times', text('open,high,low,close', '1,1,1,1'), 'neither a column datetime nor a column timestamp'],
    [
      'no close',
      text('datetime,open,high,low', '2020-03-12,1,1,1'),
      'eth.csv:1: the header has no column close',
    ],
    [
      'a column twice',
      text('datetime,open,open,high,low,close'),
      'eth.csv:1: the header names the column open twice',
    ],
    [
      'semicolons',
      text(HEADER.replaceAll(',', ';'), ROW.replaceAll(',', ';')),
      'eth.csv:1: the header has neither',
    ],
  ])('%s', (_, content, message) => {
    const error = failure(content)
    expect(error).toMatchObject({ code: 'PRICE_FILE_HEADER', line: 1 })
    expect(error.message).toContain(message)
  })

  it('with nothing below it is no file to play', () => {
    expect(() => parseBars(`${HEADER}\n`, 'eth.csv')).toThrow('eth.csv has a header and no bar below it.')
  })
})

describe('whatever is in a file', () => {
  it('it is bars in order, or an error of ours', () => {
    const cell = fc.oneof(
      fc.string(),
      fc.constantFrom('1', '2.5', '"', '2020-03-12', '1584007200', '\r\n', ','),
    )
    const content = fc
      .array(fc.array(cell, { maxLength: 7 }), { maxLength: 6 })
      .map((rows) => text(HEADER, ROW, ...rows.map((row) => row.join(','))))
    fc.assert(
      fc.property(content, (drawn) => {
        try {
          const bars = parseBars(drawn, 'eth.csv')
          for (const [index, bar] of bars.entries()) {
            expect(bar.low > 0n && bar.low <= bar.open && bar.open <= bar.high).toBe(true)
            expect(bar.ms).toBeGreaterThan(bars[index - 1]?.ms ?? Number.NEGATIVE_INFINITY)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(RialtoError)
          expect((error as RialtoError).code).toMatch(/^PRICE_/)
        }
      }),
      { numRuns: 500 },
    )
  })
})
