import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocateSteps, bridgedPath, seededShocks, stepFactor } from './randomWalk.ts'

const draw = (seed: number, count: number): number[] => {
  const shocks = seededShocks(seed)
  return Array.from({ length: count }, shocks)
}

describe('seededShocks', () => {
  it('depends on the seed alone', () => {
    expect(draw(7, 50)).toEqual(draw(7, 50))
    expect(draw(7, 50)).not.toEqual(draw(8, 50))
  })

  it('is uniform in [-1, 1): mean 0, variance 1/3', () => {
    const shocks = draw(3, 100_000)
    const mean = shocks.reduce((sum, shock) => sum + shock, 0) / shocks.length
    const variance = shocks.reduce((sum, shock) => sum + shock * shock, 0) / shocks.length
    expect(Math.min(...shocks.slice(0, 10_000))).toBeGreaterThanOrEqual(-1)
    expect(Math.max(...shocks.slice(0, 10_000))).toBeLessThan(1)
    expect(Math.abs(mean)).toBeLessThan(0.01)
    expect(Math.abs(variance - 1 / 3)).toBeLessThan(0.005)
  })

  it('tells neighbouring seeds apart from the first draw on', () => {
    const firsts = Array.from({ length: 1_000 }, (_, seed) => draw(seed, 1)[0] ?? 0)
    expect(new Set(firsts).size).toBe(1_000)
    const correlation = firsts.slice(1).reduce((sum, x, i) => sum + x * (firsts[i] ?? 0), 0) / 999 / (1 / 3)
    expect(Math.abs(correlation)).toBeLessThan(0.1)
  })
})

describe('stepFactor', () => {
  it('is the root: applied so many times it gives the ratio back', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.integer({ min: 1, max: 5_000 }),
        (ratio, steps) => {
          let product = 1
          const factor = stepFactor(ratio, steps)
          for (let step = 0; step < steps; step++) product *= factor
          expect(Math.abs(product / ratio - 1)).toBeLessThan(1e-10)
        },
      ),
    )
  })

  it('is exact where the root is', () => {
    expect(stepFactor(1, 17)).toBe(1)
    expect(stepFactor(0.25, 1)).toBeCloseTo(0.25, 15)
    expect(stepFactor(0.25, 2)).toBeCloseTo(0.5, 15)
  })
})

describe('allocateSteps', () => {
  const legs = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 })

  it('deals out all steps, at least one to each leg', () => {
    fc.assert(
      fc.property(legs, fc.nat(10_000), (lengths, more) => {
        const steps = lengths.length + more
        const dealt = allocateSteps(lengths, steps)
        expect(dealt.reduce((sum, length) => sum + length, 0)).toBe(steps)
        expect(Math.min(...dealt)).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  it('never shortens a leg when there are more steps than by default', () => {
    fc.assert(
      fc.property(legs, fc.nat(10_000), (lengths, more) => {
        const steps = lengths.reduce((sum, length) => sum + length, 0) + more
        const dealt = allocateSteps(lengths, steps)
        for (const [leg, length] of lengths.entries()) expect(dealt[leg]).toBeGreaterThanOrEqual(length)
      }),
    )
  })
})

describe('bridgedPath', () => {
  it('passes through every waypoint and never moves further than it may, whatever the shocks', () => {
    const legs = [
      { to: 90, steps: 6 },
      { to: 100, steps: 5 },
      { to: 95, steps: 4 },
    ]
    fc.assert(
      fc.property(fc.infiniteStream(fc.constantFrom(-1, -0.5, 0, 0.5, 1 - 2 ** -53)), (stream) => {
        const shocks = () => stream.next().value
        const path = bridgedPath({ from: 100, legs, steps: 15, maxMove: 0.04, maxShock: 0.02, shocks })
        expect(path).toHaveLength(16)
        expect([path[0], path[6], path[11], path[15]]).toEqual([100, 90, 100, 95])
        for (const [step, level] of path.entries())
          if (step > 0) expect(Math.abs(level / (path[step - 1] ?? level) - 1)).toBeLessThanOrEqual(0.04)
      }),
    )
  })
})
