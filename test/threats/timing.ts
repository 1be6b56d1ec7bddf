import { endLength } from './framing.ts'
import type { Deed, Sighting } from './observe.ts'

/*
 * What the order of events gives away. These are the attackers of the table: they know when, and nothing that joins
 * one side to the other.
 */

type Timed = Pick<Sighting, 'began' | 'ended'>

/** The first thing that anybody did on the chain after a moment. */
export const actionAfter = (deeds: readonly Deed[], at: number): Deed | undefined =>
  deeds
    .filter((deed) => deed.action !== undefined && deed.at >= at)
    .reduce<Deed | undefined>(
      (first, deed) => (first === undefined || deed.at < first.at ? deed : first),
      undefined,
    )

/** The last that anybody did before a moment. */
export const purchaserBefore = (deeds: readonly Deed[], at: number): Deed | undefined =>
  deeds
    .filter((deed) => deed.at <= at)
    .reduce<Deed | undefined>(
      (last, deed) => (last === undefined || deed.at > last.at ? deed : last),
      undefined,
    )

/** For each of the second side, the place on the first of the one that began at the same turn. */
export function matchInOrder(first: readonly Timed[], second: readonly Timed[]): readonly number[] {
  const order = (side: readonly Timed[]) =>
    side.map((_, index) => index).sort((left, right) => (side[left]?.began ?? 0) - (side[right]?.began ?? 0))
  const turns = order(first)
  const matches = new Array<number>(second.length)
  order(second).forEach((index, turn) => {
    matches[index] = turns[turn] ?? -1
  })
  return matches
}

/** What does not fit costs this much more, in milliseconds squared: as much as a minute. */
const misfit = 60_000 ** 2
/** Bytes by which the answer that the relay passes on may be longer than the node's, for what the gateway adds. */
const mostAdded = 1_024

/**
 * The same with everything that relay and node can measure: a request is passed on after it has come and answered
 * before its answer ends, and its answer is so much longer as the gateway's framing and change are. Of what fits, the assignment is taken that is closest in time as a whole.
 */
export function matchByAll(carried: readonly Sighting[], served: readonly Sighting[]): readonly number[] {
  const cost = (from: Sighting | undefined, to: Sighting | undefined): number => {
    if (from === undefined || to === undefined) return misfit
    const added = from.answer - to.answer - endLength
    const fits = from.began <= to.began && to.ended <= from.ended && added >= 0 && added <= mostAdded
    // Squares: of plain differences the sum is the same for every assignment.
    return (to.began - from.began) ** 2 + (from.ended - to.ended) ** 2 + (fits ? 0 : misfit)
  }
  return assign(served.map((to) => carried.map((from) => cost(from, to))))
}

/**
 * The cheapest assignment of rows to columns, each column once, by successive shortest paths with potentials (Kuhn 1955,
 * Jonker and Volgenant 1987).
 *
 * @returns for each row its column; -1 where there are too few
 */
export function assign(costs: readonly (readonly number[])[]): readonly number[] {
  const rows = costs.length
  const columns = Math.max(rows, costs[0]?.length ?? 0)
  const cost = (row: number, column: number) => costs[row]?.[column] ?? misfit
  const rowPrice = new Float64Array(rows)
  const columnPrice = new Float64Array(columns)
  const rowOf = new Int32Array(columns).fill(-1)
  for (let start = 0; start < rows; start++) {
    const distance = new Float64Array(columns).fill(Number.POSITIVE_INFINITY)
    const cameFrom = new Int32Array(columns).fill(-1)
    const done = new Uint8Array(columns)
    let row = start
    let last = -1
    let free = -1
    while (free < 0) {
      let next = -1
      for (let column = 0; column < columns; column++) {
        if (done[column] === 1) continue
        const base = last < 0 ? 0 : (distance[last] ?? 0)
        const through = base + cost(row, column) - (rowPrice[row] ?? 0) - (columnPrice[column] ?? 0)
        if (through < (distance[column] ?? 0)) {
          distance[column] = through
          cameFrom[column] = last
        }
        if (next < 0 || (distance[column] ?? 0) < (distance[next] ?? 0)) next = column
      }
      done[next] = 1
      last = next
      if ((rowOf[next] ?? -1) < 0) free = next
      else row = rowOf[next] ?? -1
    }
    const reached = distance[free] ?? 0
    rowPrice[start] = (rowPrice[start] ?? 0) + reached
    for (let column = 0; column < columns; column++) {
      if (done[column] !== 1 || column === free) continue
      const slack = reached - (distance[column] ?? 0)
      const owner = rowOf[column] ?? -1
      rowPrice[owner] = (rowPrice[owner] ?? 0) + slack
      columnPrice[column] = (columnPrice[column] ?? 0) - slack
    }
    for (let column = free; column >= 0; ) {
      const before = cameFrom[column] ?? -1
      rowOf[column] = before < 0 ? start : (rowOf[before] ?? -1)
      column = before
    }
  }
  const columnOf = new Array<number>(rows).fill(-1)
  rowOf.forEach((row, column) => {
    if (row >= 0 && column < (costs[0]?.length ?? 0)) columnOf[row] = column
  })
  return columnOf
}
