import { type Address, getAddress, isAddress } from 'viem'
import { z } from 'zod'
import { type Bps, bps, parseDecimal, type Usd, usd, type Wad, type Wei, wad, wei } from '../core/units.ts'

/** What zod hands to an error function. */
type Refused = { readonly input?: unknown; readonly code?: string | undefined }

/** Enough of a value to recognise it by; of what may hold a secret (a URL, and whatever has parts) only its kind. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'string' && value.includes('://')) return 'a URL'
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`
}

/** One sentence for a field that is missing or wrong, saying what belongs there. */
export const expected =
  (what: string) =>
  (refused: Refused): string =>
    refused.input === undefined
      ? `is missing: set it to ${what}`
      : `is ${shown(refused.input)}: it must be ${what}`

/** A strict object: a key that is missing is an error of that key, a key too many one of the object. */
export const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (refused) =>
      refused.code === 'unrecognized_keys'
        ? `has the unknown key "${refused.keys.join('", "')}": remove it or correct its spelling`
        : expected(`an object with the keys ${Object.keys(shape).join(', ')}`)(refused),
  })

/** More digits than any limit needs, and few enough to stay within 256 bits at 18 decimals. */
const MAX_WHOLE_DIGITS = 30

function decimal<Unit>(decimals: number, what: string, make: (value: bigint) => Unit) {
  const error = expected(what)
  const shape = new RegExp(`^\\d{1,${MAX_WHOLE_DIGITS}}(\\.\\d{1,${decimals}})?$`)
  return z
    .string({ error })
    .regex(shape, { error, abort: true })
    .transform((text): Unit => make(parseDecimal(text, decimals)))
}

/** US dollars as a decimal string. @example "2500.00" */
export const dollars = decimal<Usd>(8, 'a decimal string of US dollars, like "2500.00"', usd)

/** A health factor as a decimal string. @example "1.15" */
export const healthFactor = decimal<Wad>(18, 'a health factor as a decimal string, like "1.15"', wad)

/** A price of gas in gwei as a decimal string, kept in wei. @example "150" */
export const gwei = decimal<Wei>(9, 'a decimal string of gwei, like "150" or "0.5"', wei)

function whole(min: number, max: number, what: string) {
  const error = expected(`${what} from ${min} to ${max}`)
  return z.int({ error }).min(min, { error }).max(max, { error })
}

/** A fraction as a whole number of basis points. @example 50 // 0.5 % */
export const basisPoints = whole(0, 10_000, 'a whole number of basis points').transform(
  (value): Bps => bps(BigInt(value)),
)

/** At most some ten years, so that a slip of the hand (milliseconds) does not pass for seconds. */
const MAX_SECONDS = 315_360_000

/** @example 86400 // a day */
export const seconds = whole(0, MAX_SECONDS, 'a whole number of seconds')
export const positiveSeconds = whole(1, MAX_SECONDS, 'a whole number of seconds')

/** A count of blocks. */
export const blocks = whole(1, 100_000, 'a whole number of blocks')

/** Real nodes take no replacement whose fees are less than a tenth higher. */
export const replacementBump = whole(1_000, 10_000, 'a whole number of basis points').transform(
  (value): Bps => bps(BigInt(value)),
)

/** Signatures that an approval needs. */
export const approvalThreshold = whole(1, 20, 'a whole number of signatures')

/** Days without a denial or a deviation. */
export const graduationDays = whole(0, 3_650, 'a whole number of days')

/** An address in any case; a mixed-case one must carry the right checksum. */
export const account = z
  .string({ error: expected('an address') })
  .refine((text) => isAddress(text), { error: expected('an address with the right checksum'), abort: true })
  .transform((text): Address => getAddress(text))

/** A list of words without repetition. */
export const distinct = <Item extends z.ZodType>(item: Item, what: string) =>
  z.array(item, { error: expected(what) }).refine((items) => new Set(items).size === items.length, {
    error: 'lists something twice: name each once',
  })

/** `"none"`, or a section whose own faults are told by their own paths. */
export const noneOr = <Of extends z.ZodType>(of: Of, what: string) =>
  z.custom<'none' | z.input<Of>>().transform((value, context): 'none' | z.output<Of> => {
    if (value === 'none') return 'none'
    const isSection = typeof value === 'object' && value !== null
    const issues = isSection
      ? of.safeParse(value).error?.issues
      : [{ path: [], message: expected(what)({ input: value }) }]
    if (issues === undefined) return of.parse(value)
    for (const { path, message } of issues)
      context.issues.push({ code: 'custom', path: [...path], message, input: value })
    return z.NEVER
  })
