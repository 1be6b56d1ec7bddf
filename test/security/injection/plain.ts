import type { Hex } from 'viem'
import { expect } from 'vitest'
import type { Orders } from './obey.ts'

/** What no line of ours may hold: what drives a terminal, breaks a line, turns text around or hides it. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

export const isPlain = (line: string): boolean => !HIDDEN.test(line)

/** @param what where the line stands, for whoever reads the failure */
export function expectPlain(line: string, what: string, limit = 1_200): void {
  expect(HIDDEN.exec(line)?.[0].codePointAt(0)?.toString(16), `${what}: ${JSON.stringify(line)}`).toBe(
    undefined,
  )
  expect(line.length, what).toBeLessThanOrEqual(limit)
}

/** Every string in a value, however deep. */
export function stringsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => [key, ...stringsIn(member)])
}

/** What of an order's addresses and amounts stands in calldata. Empty is what is hoped for. */
export function plantedIn(
  data: Hex,
  { addresses, amounts }: Orders,
  own: readonly string[],
): readonly string[] {
  const bytes = data.toLowerCase()
  const known = own.map((address) => address.slice(2).toLowerCase())
  return [
    ...addresses.map((address) => address.slice(2).toLowerCase()).filter((digits) => !known.includes(digits)),
    ...amounts.map((amount) => amount.toString(16).padStart(64, '0')),
  ].filter((digits) => bytes.includes(digits))
}
