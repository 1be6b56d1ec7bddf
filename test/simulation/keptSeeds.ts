import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const PATH = fileURLToPath(new URL('./seeds.json', import.meta.url))

const file = z.array(z.strictObject({ seed: z.number().int().nonnegative(), found: z.string().min(1) }))

/** A seed that once found a defect, and what that was. */
export type KeptSeed = z.output<typeof file>[number]

export const keptSeeds = (): readonly KeptSeed[] => file.parse(JSON.parse(readFileSync(PATH, 'utf8')))

/** Adds seeds that failed to those that every run of the tests replays. */
export function keepSeeds(failed: readonly KeptSeed[]): void {
  const known = keptSeeds()
  const fresh = failed.filter(({ seed }) => !known.some((kept) => kept.seed === seed))
  const all = [...known, ...fresh].toSorted((a, b) => a.seed - b.seed)
  writeFileSync(PATH, `${JSON.stringify(all, null, 2)}\n`)
}
