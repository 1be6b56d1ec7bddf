import { keccak256, stringToHex } from 'viem'
import { InvariantError } from './errors.ts'
import type { Hash } from './ids.ts'

/** What {@link canonicalJson} can write. `bigint` becomes a decimal string. */
export type Canonical =
  | null
  | boolean
  | string
  | number
  | bigint
  | undefined
  | readonly Canonical[]
  | { readonly [key: string]: Canonical }

/**
 * One spelling for one value: keys sorted, no white space, `bigint` as a decimal string, absent members left
 * out. Numbers must be safe integers, because floats have no place in what is hashed.
 *
 * @throws {InvariantError} on a number that is no safe integer.
 * @example canonicalJson({ b: 2n, a: 'x' }) // '{"a":"x","b":"2"}'
 */
export function canonicalJson(value: Canonical): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `"${value}"`
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value))
      throw new InvariantError('Only safe integers have a canonical form.', { value })
    return String(value)
  }
  if (value === undefined) throw new InvariantError('A canonical value cannot be undefined.')
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

const isList = (value: object): value is readonly Canonical[] => Array.isArray(value)

/** Keccak-256 over the canonical JSON of a value. */
export const canonicalHash = (value: Canonical): Hash => keccak256(stringToHex(canonicalJson(value))) as Hash
