import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatTime, parseBarTime } from './barTime.ts'

const TEN = Date.UTC(2020, 2, 12, 10)

describe('parseBarTime', () => {
  it.each([
    ['2020-03-12', Date.UTC(2020, 2, 12), 'ISO date'],
    ['2020-03-12T10:00', TEN, 'ISO time'],
    ['2020-03-12 10:00:00', TEN, 'ISO time'],
    ['2020-03-12T10:00:00.123', TEN + 123, 'ISO time'],
    ['2020-03-12 10:00:00.1239', TEN + 123, 'ISO time'],
    ['2020-03-12T10:00:00Z', TEN, 'ISO time with a zone'],
    ['2020-03-12 12:30:00+02:30', TEN, 'ISO time with a zone'],
    ['2020-03-12 05:00:00 -0500', TEN, 'ISO time with a zone'],
    ['2020-02-29', Date.UTC(2020, 1, 29), 'ISO date'],
    ['1584007200', TEN, 'epoch seconds'],
    ['100000000', 1e11, 'epoch seconds'],
    ['1584007200000', TEN, 'epoch milliseconds'],
    ['100000000000', 1e11, 'epoch milliseconds'],
  ])('reads %s', (text, ms, format) => {
    expect(parseBarTime(text)).toEqual({ ms, format })
  })

  it.each([
    '',
    'now',
    '2020',
    '2020-3-12',
    '2020-13-01',
    '2020-00-01',
    '2020-02-30',
    '2021-02-29',
    '0020-03-12',
    '2020-03-12T24:00',
    '2020-03-12T10:60',
    '2020-03-12T10:00:60',
    '2020-03-12T10',
    '2020-03-12T10:00+24:00',
    '2020-03-12T10:00 UTC',
    '12/03/2020',
    '12345678',
    '15840072000',
    '15840072000000',
    '-1584007200',
    '1584007200.5',
  ])('refuses "%s"', (text) => {
    expect(parseBarTime(text)).toBeUndefined()
  })

  it('reads back what toISOString writes', () => {
    const moments = fc.date({ min: new Date('0100-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    fc.assert(
      fc.property(moments, (moment) => {
        expect(parseBarTime(moment.toISOString())?.ms).toBe(moment.getTime())
      }),
    )
  })
})

describe('formatTime', () => {
  it('leaves out what is zero', () => {
    expect(formatTime(TEN)).toBe('2020-03-12T10:00Z')
    expect(formatTime(TEN + 5_000)).toBe('2020-03-12T10:00:05Z')
    expect(formatTime(TEN + 5)).toBe('2020-03-12T10:00:00.005Z')
  })
})
