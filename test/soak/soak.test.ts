import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { growthOf } from './growth.ts'
import { runSoak } from './runSoak.ts'

/** Snapshots of the last two blocks, of ten accounts: whatever is older belongs to nobody. */
const HELD = 20

describe('a soak of five hundred intents', () => {
  it('carries each out once, and holds on to nothing of them', async () => {
    const { intents, retained, wrong, growth } = await runSoak({ intents: 500, sampleEvery: 50 })
    expect(wrong).toEqual([])
    expect(intents).toBeGreaterThanOrEqual(500)
    expect(retained).toBeLessThanOrEqual(HELD)
    // Caches still fill in so short a run: `npm run soak` has the tight bound.
    expect(growth).toBeLessThan(64 * 1_024)
  }, 900_000)

  it('finds an engine that keeps every snapshot', async () => {
    const kept: Snapshot[] = []
    const { retained } = await runSoak({
      intents: 60,
      sampleEvery: 10,
      onSnapshot: (snapshot) => kept.push(snapshot),
    })
    expect(kept.length).toBeGreaterThanOrEqual(60)
    expect(retained).toBe(kept.length)
  }, 300_000)
})

describe('the growth', () => {
  const line = (slope: number) =>
    Array.from({ length: 11 }, (_, index) => ({
      intents: index * 100,
      // What fills while it warms up counts for nothing.
      heapUsed: 5_000_000 + index * 100 * slope + (index < 3 ? -1_000_000 : 0),
      rss: 0,
    }))

  it('is the slope of what comes after the warm-up', () => {
    expect(growthOf(line(0))).toBeCloseTo(0)
    expect(growthOf(line(1_500))).toBeCloseTo(1_500)
  })

  it('cannot be told from one sample', () => {
    expect(() => growthOf([{ intents: 100, heapUsed: 1, rss: 1 }])).toThrow(RangeError)
  })
})
