import { describe, expect, it } from 'vitest'
import { actionCounts, coverMeans, createObserver, habits, linkage, simulate } from './linkage.ts'

describe('an observer of a relay and of the chain, in a model of time', () => {
  const found = linkage()
  const without = found[0]?.percent ?? []

  it('knows more with each action, whatever the cover', () => {
    for (const { percent } of found)
      for (const [at, each] of percent.entries()) expect(each).toBeGreaterThanOrEqual(percent[at - 1] ?? 0)
  })

  it('knows less the more cover there is, until it has seen enough actions all the same', () => {
    for (const [at, { percent }] of found.entries())
      for (const [which, each] of percent.entries())
        expect(each).toBeLessThanOrEqual(found[at - 1]?.percent[which] ?? 100)
    expect(without[0]).toBeGreaterThan(4 * (found.at(-1)?.percent[0] ?? 100))
    expect(found.every(({ percent }) => (percent.at(-1) ?? 0) > 90)).toBe(true)
  })

  it('is no better than chance where its requests are of another world', () => {
    const most = Math.max(...actionCounts)
    for (const cover of coverMeans) {
      const [one, other] = [11, 12].map((seed) => simulate({ ...habits, cover }, most, seed))
      const observer = createObserver({ requests: one?.requests ?? [], actions: other?.actions ?? [] })
      for (const count of actionCounts) expect(observer(count)).toBeLessThan(5 / habits.clients)
    }
  })

  it('sees the same world for the same seed', () => {
    expect(simulate(habits, 2, 5)).toEqual(simulate(habits, 2, 5))
    expect(simulate(habits, 2, 5)).not.toEqual(simulate(habits, 2, 6))
  })
})
