/** Work within this process, held apart by what it is about. */
export type Turns = {
  /** Does the work, or joins in with the same work that is under way already. */
  once<T>(id: string, work: () => Promise<T>): Promise<T>
  /** Does the work when all that was handed in before for the same key is through, however that ended. */
  inTurn<T>(key: string, work: () => Promise<T>): Promise<T>
}

/**
 * Makes the turns of one process.
 *
 * @example await turns.inTurn(account, () => execute(runtime, agent, intent, block))
 */
export function createTurns(): Turns {
  const underWay = new Map<string, Promise<unknown>>()
  const last = new Map<string, Promise<unknown>>()
  return {
    once(id, work) {
      const same = underWay.get(id)
      // Ids name their work, so what is under way gives what this work gives.
      if (same !== undefined) return same as ReturnType<typeof work>
      const result = work().finally(() => underWay.delete(id))
      underWay.set(id, result)
      return result
    },
    inTurn(key, work) {
      const result = (last.get(key) ?? Promise.resolve()).then(work)
      // Its own caller gets the failure; it holds up nobody.
      last.set(
        key,
        result.catch(() => undefined),
      )
      return result
    },
  }
}
