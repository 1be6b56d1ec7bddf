/** The memory of this process after so many intents, in bytes, garbage collected. */
export type Sample = { readonly intents: number; readonly heapUsed: number; readonly rss: number }

/** The first part of a run in which caches fill and code is compiled. */
const WARM_UP = 0.3

/**
 * By how many bytes the heap grows with each intent: the slope of the line that fits the samples after the warm-up best.
 *
 * @throws {RangeError} with fewer than two samples after the warm-up.
 * @example growthOf([{ intents: 0, … }, { intents: 1_000, … }, { intents: 2_000, … }]) // 12.5
 */
export function growthOf(samples: readonly Sample[]): number {
  const last = samples.at(-1)?.intents ?? 0
  const warm = samples.filter(({ intents }) => intents >= last * WARM_UP)
  if (warm.length < 2) throw new RangeError('Two samples after the warm-up are needed.')
  const mean = (of: (sample: Sample) => number) =>
    warm.reduce((sum, sample) => sum + of(sample), 0) / warm.length
  const [x, y] = [mean(({ intents }) => intents), mean(({ heapUsed }) => heapUsed)]
  const [above, below] = [
    warm.reduce((sum, { intents, heapUsed }) => sum + (intents - x) * (heapUsed - y), 0),
    warm.reduce((sum, { intents }) => sum + (intents - x) ** 2, 0),
  ]
  return above / below
}
