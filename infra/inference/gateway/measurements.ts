import type { Measurements } from '../protocol/network/directory.ts'

/** How much the latest request counts in the mean of a node. */
const WEIGHT = 0.1

const percentSteps = [0, 1, 2, 5, 10, 20, 50, 100] as const

/**
 * Rounds up to a step of 1, 2, 5, 10, 20, 50, ...
 *
 * @example stepUp(137) // 200
 */
export function stepUp(value: number): number {
  if (value <= 1) return 1
  const decade = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * decade).find((step) => step >= value) ?? 10 * decade
}

/** What a gateway knows of how well its nodes answer. */
export type NodeMeasurements = {
  /**
   * Counts a request.
   *
   * @param firstByte milliseconds; undefined when no answer came
   * @param failed whether the answer was not whole, or had no receipt that verifies
   */
  record(
    node: string,
    model: string,
    measured: { readonly firstByte: number | undefined; readonly failed: boolean },
  ): void
  /** In steps so coarse that no single request shows in them. */
  snapshot(nodes: Iterable<{ readonly name: string; readonly models: ReadonlySet<string> }>): Measurements
}

/** Keeps exponentially weighted means for each node and model. */
export function createMeasurements(): NodeMeasurements {
  const means = new Map<string, { firstByte: number | undefined; errors: number }>()
  const nameOf = (node: string, model: string) => `${node} ${model}`
  return {
    record(node, model, { firstByte, failed }) {
      const name = nameOf(node, model)
      const mean = means.get(name)
      const error = failed ? 1 : 0
      if (mean === undefined) {
        means.set(name, { firstByte, errors: error })
        return
      }
      mean.errors += WEIGHT * (error - mean.errors)
      if (firstByte === undefined) return
      mean.firstByte =
        mean.firstByte === undefined ? firstByte : mean.firstByte + WEIGHT * (firstByte - mean.firstByte)
    },
    snapshot: (nodes) => ({
      nodes: [...nodes].flatMap(({ name, models }) =>
        [...models].map((model) => {
          const mean = means.get(nameOf(name, model))
          // A share never quite decays to nothing: less than half a per cent is none.
          const errors = Math.max(0, (mean?.errors ?? 0) * 100 - 0.5)
          return {
            node: name,
            model,
            firstByteMs: mean?.firstByte === undefined ? null : stepUp(mean.firstByte),
            errorPercent: percentSteps.find((step) => step >= errors) ?? 100,
          }
        }),
      ),
    }),
  }
}
