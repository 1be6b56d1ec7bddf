/** How a time is written. A file keeps to one of these. */
type TimeFormat = 'ISO date' | 'ISO time' | 'ISO time with a zone' | 'epoch seconds' | 'epoch milliseconds'

/** A moment, and how it was written. */
export type BarTime = {
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly ms: number
  readonly format: TimeFormat
}

const EPOCH_SECONDS = /^\d{9,10}$/
const EPOCH_MILLISECONDS = /^\d{12,13}$/
const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?: ?(Z|([+-])(\d\d):?(\d\d)))?)?$/

const MS_PER_MINUTE = 60_000
export const MS_PER_DAY = 86_400_000

/**
 * Reads a time: an ISO date, an ISO time (`T` or a space before the hour; without a zone it is UTC), or epoch
 * seconds or milliseconds, which are told apart by their digits (9 or 10, 12 or 13: 1973 to 2286).
 *
 * Nothing is guessed: 30 February or 24:00 is no time.
 *
 * @returns `undefined` when the text is none of these
 * @example parseBarTime('2020-03-12 10:00:00') // { ms: 1_584_007_200_000, format: 'ISO time' }
 */
export function parseBarTime(text: string): BarTime | undefined {
  if (EPOCH_SECONDS.test(text)) return { ms: Number(text) * 1_000, format: 'epoch seconds' }
  if (EPOCH_MILLISECONDS.test(text)) return { ms: Number(text), format: 'epoch milliseconds' }
  const parts = ISO.exec(text)
  if (parts === null) return undefined
  const field = (index: number): number => Number(parts[index] ?? 0)
  const thousandths = Number((parts[7] ?? '').slice(0, 3).padEnd(3, '0'))
  const seconds = field(4) * 3_600 + field(5) * 60 + field(6)
  const midnight = Date.UTC(field(1), field(2) - 1, field(3))
  if (!isMidnightOf(midnight, field(1), field(2), field(3))) return undefined
  if (field(4) > 23 || field(5) > 59 || field(6) > 59) return undefined
  if (field(10) > 23 || field(11) > 59) return undefined
  const offset = (parts[9] === '-' ? -1 : 1) * (field(10) * 60 + field(11)) * MS_PER_MINUTE
  return { ms: midnight + seconds * 1_000 + thousandths - offset, format: isoFormat(parts) }
}

/** `Date.UTC` carries 30 February over into March, and takes year 20 for 1920; reading the fields back tells. */
function isMidnightOf(ms: number, year: number, month: number, day: number): boolean {
  const date = new Date(ms)
  return date.getUTCFullYear() === year && date.getUTCMonth() + 1 === month && date.getUTCDate() === day
}

function isoFormat(parts: RegExpExecArray): TimeFormat {
  if (parts[4] === undefined) return 'ISO date'
  return parts[8] === undefined ? 'ISO time' : 'ISO time with a zone'
}

/** A moment as people write it, in UTC and without what is zero. @example formatTime(0) // '1970-01-01T00:00Z' */
export const formatTime = (ms: number): string => new Date(ms).toISOString().replace(/(?::00)?\.000Z$/, 'Z')
