import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const PATH = fileURLToPath(new URL('./schedules.json', import.meta.url))

const file = z.array(z.strictObject({ seed: z.number().int().nonnegative(), found: z.string().min(1) }))

/** A schedule that once found a defect, and what that was. */
export type KeptSchedule = z.output<typeof file>[number]

export const keptSchedules = (): readonly KeptSchedule[] => file.parse(JSON.parse(readFileSync(PATH, 'utf8')))

/** Adds schedules that failed to those that every run of the tests replays. */
export function keepSchedules(failed: readonly KeptSchedule[]): void {
  const known = keptSchedules()
  const fresh = failed.filter(({ seed }) => !known.some((kept) => kept.seed === seed))
  const all = [...known, ...fresh].toSorted((a, b) => a.seed - b.seed)
  writeFileSync(PATH, `${JSON.stringify(all, null, 2)}\n`)
}
