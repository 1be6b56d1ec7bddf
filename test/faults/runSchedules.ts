import type { Hex } from 'viem'
import { checkEnd } from './checkRest.ts'
import { blockFaults, calm, drawSchedule, requestFaults } from './drawSchedule.ts'
import { type Defect, rewind, runSchedule, type ScheduleResult } from './runSchedule.ts'
import { policyDraws, policyOf } from './scenario.ts'
import { openStage } from './stage.ts'

export type RunOptions = {
  readonly defect?: Defect
  /** Told of each as it ends. */
  readonly onResult?: (result: ScheduleResult) => void
}

/** What many schedules came to. */
export type Totals = {
  readonly schedules: number
  readonly failed: readonly { readonly seed: number; readonly why: string }[]
  readonly hits: Readonly<Record<string, number>>
  readonly mined: number
  readonly blocks: number
}

/** Plays the undisturbed run and then the schedules, one after another on one stage. */
export async function runSchedules(seeds: readonly number[], options: RunOptions = {}): Promise<Totals> {
  const policies = policyDraws.map(policyOf)
  const labelOf = (seed: number) => `schedule-${seed}`
  const stage = await openStage([
    { label: 'undisturbed', policies },
    ...seeds.map((seed) => ({ label: labelOf(seed), policies })),
  ])
  try {
    let snapshot: Hex = await rewind(stage, null)
    const undisturbed = await runSchedule(stage, calm({ confirmations: 1, isTight: false }), 'undisturbed')
    const results: ScheduleResult[] = []
    for (const seed of seeds) {
      snapshot = await rewind(stage, snapshot)
      const schedule = drawSchedule(seed)
      const found = await runSchedule(stage, schedule, labelOf(seed), options.defect)
      const end = checkEnd(found, undisturbed, schedule.policy.isTight)
      const result = { ...found, violations: [...found.violations, ...end] }
      results.push(result)
      options.onResult?.(result)
    }
    return totalsOf(results)
  } finally {
    await stage.close()
  }
}

function totalsOf(results: readonly ScheduleResult[]): Totals {
  const add = (of: (result: ScheduleResult) => number) => results.reduce((sum, one) => sum + of(one), 0)
  return {
    schedules: results.length,
    failed: results.flatMap(({ seed, violations }) =>
      violations.length === 0
        ? []
        : [{ seed, why: violations.map(({ invariant, what }) => `${invariant}: ${what}`).join(' · ') }],
    ),
    hits: Object.fromEntries(
      [...requestFaults, ...blockFaults].map((fault) => [fault, add(({ hits }) => hits[fault] ?? 0)]),
    ),
    mined: add(({ mined }) => mined),
    blocks: add(({ blocks }) => blocks),
  }
}

/** The report of a run, for a person. */
export function describeTotals({ schedules, failed, hits, mined, blocks }: Totals, seconds: number): string {
  return [
    'faults that were hit:',
    ...Object.entries(hits).map(([fault, count]) => `  ${String(count).padStart(6)}  ${fault}`),
    '',
    `${schedules} schedules, ${blocks} blocks, ${mined} transactions mined; ${(seconds / schedules).toFixed(2)} s each`,
    ...(failed.length === 0
      ? ['every invariant held in every schedule']
      : [
          `${failed.length} schedules failed:`,
          ...failed.flatMap(({ seed, why }) => [
            `  ${why.slice(0, 400)}`,
            `    npm run simulate:real -- --seed ${seed}`,
          ]),
        ]),
    '',
  ].join('\n')
}
