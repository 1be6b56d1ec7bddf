/** Percentiles of a list of durations, in milliseconds. */
export type Timing = {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly runs: number
}

export function summarise(durations: readonly number[]): Timing {
  const sorted = [...durations].sort((a, b) => a - b)
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), runs: sorted.length }
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** One line of the table and one entry of `bench.json`: a figure and what it is held against. */
export type Result = {
  readonly name: string
  /** What it is compared with, measured in the same run. */
  readonly floor: string
  readonly unit: 'µs' | 'ms' | 'per second' | 'KiB per stream second'
  readonly ours: number
  readonly theirs: number
  /** How many times the floor's time it takes, or what part of the floor's rate it reaches. */
  readonly ratio: number
  /** What it is meant to be, where that was said beforehand. */
  readonly goal?: string
}

export const result = (fields: Omit<Result, 'ratio'>): Result => ({
  ...fields,
  ratio: fields.ours / fields.theirs,
})

export function table(results: readonly Result[]): string {
  const number = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1))
  return results
    .map(
      ({ name, floor, unit, ours, theirs, ratio, goal }) =>
        `${name.padEnd(52)} ${`${number(ours)} ${unit}`.padStart(16)}   ${floor} ${number(theirs)} ${unit}   ratio ${ratio.toFixed(2)}${goal === undefined ? '' : `   goal: ${goal}`}`,
    )
    .join('\n')
}
