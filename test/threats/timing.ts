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
