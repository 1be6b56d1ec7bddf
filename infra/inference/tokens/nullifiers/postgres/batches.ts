/** Things that are asked together: one batch is under way at a time, and what comes meanwhile is the next one. */
export type Batches<Item, Result> = {
  /** @throws what the batch threw. */
  add(item: Item): Promise<Result>
}

/**
 * @param run asks for a batch, and answers in the order of its items
 * @param most items of a batch
 * @example
 * const batches = createBatches(lookUpAll, 512)
 * await Promise.all([batches.add('a'), batches.add('b')]) // one call of lookUpAll
 */
export function createBatches<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  most: number,
): Batches<Item, Result> {
  const waiting: Waiting<Item, Result>[] = []
  let running = false

  async function runAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, most)
      try {
        const results = await run(batch.map(({ item }) => item))
        for (const [at, { resolve }] of batch.entries()) resolve(results[at] as Result)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    running = false
  }

  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        if (running) return
        running = true
        // Begun a microtask later, so that what is added in one go is one batch.
        queueMicrotask(runAll)
      }),
  }
}

type Waiting<Item, Result> = {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}
