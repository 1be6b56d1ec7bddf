/** A place for one spend. */
export type Slot = { release(): void }

/** How much is worked on at once. */
export type Slots = {
  /** Takes a place; undefined when there is none, in total or at that node. */
  take(node: string): Slot | undefined
}

/** @example createSlots({ spends: 2_048, spendsPerNode: 1_024 }) */
export function createSlots(limits: { readonly spends: number; readonly spendsPerNode: number }): Slots {
  const perNode = new Map<string, number>()
  let total = 0
  return {
    take(node) {
      const here = perNode.get(node) ?? 0
      if (total >= limits.spends || here >= limits.spendsPerNode) return undefined
      total += 1
      perNode.set(node, here + 1)
      let released = false
      return {
        release() {
          if (released) return
          released = true
          total -= 1
          const left = (perNode.get(node) ?? 1) - 1
          if (left === 0) perNode.delete(node)
          else perNode.set(node, left)
        },
      }
    },
  }
}
