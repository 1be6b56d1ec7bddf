import { attemptTransitions } from '../../runtime/core/attempts.ts'
import { callFaults, worldFaults } from './faults.ts'
import type { SeedResult } from './simulateSeed.ts'

/** What many seeds came to. */
export type Totals = {
  readonly seeds: number
  readonly failed: readonly { readonly seed: number; readonly why: string }[]
  readonly calls: number
  readonly blocks: number
  readonly mined: number
  readonly hits: Readonly<Record<string, number>>
  readonly arrows: Readonly<Record<string, number>>
}

const sum = (records: readonly Readonly<Record<string, number>>[], keys: readonly string[]) =>
  Object.fromEntries(
    keys.map((key) => [key, records.reduce((total, record) => total + (record[key] ?? 0), 0)]),
  )

/** Every arrow of the state machine, as results name them. */
export const allArrows = [
  ...new Set(attemptTransitions.map(({ from, to }) => `${from ?? 'none'} > ${to}`)),
] as const

export function totalsOf(results: readonly SeedResult[]): Totals {
  const add = (of: (result: SeedResult) => number) => results.reduce((total, one) => total + of(one), 0)
  return {
    seeds: results.length,
    failed: results.flatMap(({ seed, violations }) =>
      violations.length === 0
        ? []
        : [{ seed, why: violations.map(({ invariant, what }) => `${invariant}: ${what}`).join(' · ') }],
    ),
    calls: add(({ calls }) => calls),
    blocks: add(({ blocks }) => blocks),
    mined: add(({ mined }) => mined),
    hits: sum(
      results.map(({ hits }) => hits),
      [...callFaults, ...worldFaults],
    ),
    arrows: sum(
      results.map(({ arrows }) => arrows),
      allArrows,
    ),
  }
}

const table = (counts: Readonly<Record<string, number>>): readonly string[] =>
  Object.entries(counts).map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`)

/** The report of a run, for a person. */
export function describeTotals(totals: Totals, seconds: number): string {
  const { seeds, failed, calls, blocks, mined, hits, arrows } = totals
  const covered = Object.values(arrows).filter((count) => count > 0).length
  return [
    'faults that were hit:',
    ...table(hits),
    '',
    `arrows of the state machine (${covered} of ${allArrows.length}):`,
    ...table(arrows),
    '',
    `${seeds} seeds, ${calls} port calls, ${blocks} blocks, ${mined} transactions mined; ${(seeds / seconds).toFixed(1)} seeds/s`,
    ...(failed.length === 0
      ? ['every invariant held in every seed']
      : [
          `${failed.length} seeds failed:`,
          ...failed.flatMap(({ seed, why }) => [
            `  ${why.slice(0, 300)}`,
            `    npm run simulate -- --seed ${seed} --verbose`,
          ]),
        ]),
    '',
  ].join('\n')
}
