import type { Measurements } from '../protocol/network/directory.ts'

/** How much the latest request counts in the mean of a node. */
const WEIGHT = 0.1
/** Fewer requests than this, to one model at one node, are not told of: they would show that somebody asked it. */
const LEAST = 8
/** Milliseconds for which all are told the same: in anything newer a single request would show when it was. */
const HELD = 600_000

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
  /**
   * In coarse steps, and the same for ten minutes. What is told of a model at a node changes only when at least eight
   * requests went there since it was told last: whoever asks all the time, and sees when somebody's request passes,
   * would learn from anything finer where it went.
   */
  snapshot(nodes: Iterable<{ readonly name: string; readonly models: ReadonlySet<string> }>): Measurements
}

type Mean = { firstByte: number | undefined; errors: number; since: number }
type Told = { readonly firstByteMs: number | null; readonly errorPercent: number }

const unknown: Told = { firstByteMs: null, errorPercent: 0 }

/**
 * Keeps exponentially weighted means for each node and model.
 *
 * @param now a clock in milliseconds that is never put back
 */
export function createMeasurements(now: () => number = () => performance.now()): NodeMeasurements {
  const means = new Map<string, Mean>()
  const told = new Map<string, Told>()
  let toldAt = Number.NEGATIVE_INFINITY
  const nameOf = (node: string, model: string) => `${node} ${model}`

  function tell(): void {
    if (now() - toldAt < HELD) return
    toldAt = now()
    for (const [name, mean] of means) {
      if (mean.since < LEAST) continue
      mean.since = 0
      // A share never quite decays to nothing: less than half a per cent is none.
      const errors = Math.max(0, mean.errors * 100 - 0.5)
      told.set(name, {
        firstByteMs: mean.firstByte === undefined ? null : stepUp(mean.firstByte),
        errorPercent: percentSteps.find((step) => step >= errors) ?? 100,
      })
    }
  }

  return {
    record(node, model, { firstByte, failed }) {
      const name = nameOf(node, model)
      const mean = means.get(name)
      const error = failed ? 1 : 0
      if (mean === undefined) {
        means.set(name, { firstByte, errors: error, since: 1 })
        return
      }
      mean.since += 1
      mean.errors += WEIGHT * (error - mean.errors)
      if (firstByte === undefined) return
      mean.firstByte =
        mean.firstByte === undefined ? firstByte : mean.firstByte + WEIGHT * (firstByte - mean.firstByte)
    },
    snapshot(nodes) {
      tell()
      return {
        nodes: [...nodes].flatMap(({ name, models }) =>
          [...models].map((model) => ({ node: name, model, ...(told.get(nameOf(name, model)) ?? unknown) })),
        ),
      }
    },
  }
}
