import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manualClock } from '../../../runtime/core/clock.ts'
import { createLimiter } from './limiter.ts'

test('a second holds no more requests than it may, but for the burst it begins with', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 300 }),
      (perSecond, gaps) => {
        const clock = manualClock(0)
        const limiter = createLimiter(perSecond, clock)
        const sent = gaps.map((gap) => {
          clock.advance(gap)
          return clock.now() + limiter.take()
        })
        for (const [index, from] of sent.entries()) {
          const within = sent.slice(index).filter((at) => at < from + 1_000 - 1e-6).length
          expect(within).toBeLessThanOrEqual(2 * perSecond)
        }
        // In the long run, exactly as many as it may.
        const last = sent.at(-1) as number
        expect(sent.length).toBeLessThanOrEqual(perSecond * (last / 1_000 + 1) + 1e-6)
      },
    ),
  )
})

test('those who wait get places of their own', () => {
  const limiter = createLimiter(4, manualClock(0))
  expect(Array.from({ length: 7 }, () => limiter.take())).toEqual([0, 0, 0, 0, 250, 500, 750])
})

test('a limit of less than one a second is kept', () => {
  const clock = manualClock(0)
  const limiter = createLimiter(0.5, clock)
  expect([limiter.take(), limiter.take()]).toEqual([0, 2_000])
})
