import fc from 'fast-check'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { describe, expect, it } from 'vitest'
import { erfcx, firstPassageProbability, mixedPassageProbability, normalCdf, toSignificant } from './math.ts'

const relative = (actual: number, expected: number) => Math.abs(actual / expected - 1)

describe('erfcx', () => {
  // mpmath, 60 digits; one row on each side of every boundary between the approximations.
  it.each([
    [0, 1],
    [1e-12, 0.9999999999988716],
    [0.1, 0.8964569799691267],
    [0.46, 0.636787383832713],
    [0.47, 0.6314005166600343],
    [1, 0.427583576155807],
    [2.5, 0.2108063640611436],
    [3.99, 0.1373240409142297],
    [4.01, 0.13667636742994915],
    [4.5, 0.12248480427384142],
    [6, 0.09277656780053835],
    [10, 0.05614099274382259],
    [100, 0.005641613782989433],
    [1e6, 5.641895835474742e-7],
    [1e9, 5.641895835477563e-10],
    [1e300, 5.641895835477563e-301],
  ])('erfcx(%d)', (x, expected) => {
    expect(relative(erfcx(x), expected)).toBeLessThan(1e-15 * 4)
  })

  it('takes no negative number', () => {
    expect(() => erfcx(-1e-9)).toThrow('not negative')
    expect(() => erfcx(Number.NaN)).toThrow('not negative')
  })
})

describe('normalCdf', () => {
  // mpmath, 40 digits.
  it.each([
    [-37, 5.725571222524577e-300],
    [-20, 2.7536241186062337e-89],
    [-10, 7.619853024160525e-24],
    [-5.5, 1.8989562465887718e-8],
    [-3, 0.0013498980316300946],
    [-2.5, 0.006209665325776135],
    [-1.5, 0.06680720126885807],
    [-1, 0.15865525393145705],
    [-0.66, 0.25462691467133614],
    [-0.6, 0.2742531177500736],
    [-0.3, 0.3820885778110474],
    [-1e-9, 0.49999999960105773],
    [0.25, 0.5987063256829237],
    [0.7, 0.758036347776927],
    [1, 0.8413447460685429],
    [1.96, 0.9750021048517795],
    [3, 0.9986501019683699],
    [5, 0.9999997133484281],
    [8, 0.9999999999999993],
  ])('Φ(%d)', (x, expected) => {
    expect(relative(normalCdf(x), expected)).toBeLessThan(1e-13)
  })

  // The table in every textbook (four decimals).
  it.each([
    [0, 0.5],
    [0.52, 0.6985],
    [1.28, 0.8997],
    [1.65, 0.9505],
    [2.33, 0.9901],
    [3.09, 0.999],
  ])('has the table’s Φ(%d)', (x, expected) => {
    expect(normalCdf(x)).toBeCloseTo(expected, 4)
  })

  it('is the integral of the density', () => {
    const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
    for (const [from, to] of [
      [-1, 0.5],
      [0.4, 2],
      [-6, -4],
    ] as const) {
      const steps = 2_000
      const h = (to - from) / steps
      let simpson = density(from) + density(to)
      for (let index = 1; index < steps; index++)
        simpson += (index % 2 === 1 ? 4 : 2) * density(from + index * h)
      expect(relative(normalCdf(to) - normalCdf(from), (simpson * h) / 3)).toBeLessThan(1e-11)
    }
  })

  it('is symmetric, monotone and a probability', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -60, max: 60, noNaN: true }),
        fc.double({ min: 0, max: 10, noNaN: true }),
        (x, step) => {
          const at = normalCdf(x)
          expect(at).toBeGreaterThanOrEqual(0)
          expect(at).toBeLessThanOrEqual(1)
          expect(Math.abs(at + normalCdf(-x) - 1)).toBeLessThan(1e-15)
          // Monotone up to the rounding of the last digits.
          expect(normalCdf(x + step)).toBeGreaterThanOrEqual(at * (1 - 1e-13))
        },
      ),
    )
  })

  it('has its limits', () => {
    expect(normalCdf(Number.NEGATIVE_INFINITY)).toBe(0)
    expect(normalCdf(Number.POSITIVE_INFINITY)).toBe(1)
    expect(() => normalCdf(Number.NaN)).toThrow('a number')
  })
})

describe('firstPassageProbability', () => {
  // mpmath, 60 digits, by the textbook formula.
  it.each([
    [0.05, 0, 0.01, 25, 0.3173105078629141],
    [0.05, -0.001, 0.01, 50, 0.7137917880779036],
    [0.05, 0.002, 0.01, 50, 0.11983606757487646],
    [0.3, -0.01, 0.01, 10, 1.9158957196926858e-10],
    [0.3, 0.5, 0.05, 100, 7.667648073722e-53],
    [0.02, -0.5, 0.001, 1, 1],
    [1, -0.0001, 0.002, 1_024, 9.950542135729924e-45],
  ])('distance %d, drift %d, volatility %d, time %d', (distance, drift, volatility, time, expected) => {
    expect(relative(firstPassageProbability({ distance, drift, volatility, time }), expected)).toBeLessThan(
      1e-11,
    )
  })

  const parameters = fc.record({
    distance: fc.double({ min: 1e-4, max: 2, noNaN: true }),
    drift: fc.double({ min: -0.02, max: 0.02, noNaN: true }),
    volatility: fc.double({ min: 1e-4, max: 0.2, noNaN: true }),
    time: fc.double({ min: 0.01, max: 1_024, noNaN: true }),
  })

  it('is twice the tail without drift: the reflection principle', () => {
    fc.assert(
      fc.property(parameters, (at) => {
        const expected = 2 * normalCdf(-at.distance / (at.volatility * Math.sqrt(at.time)))
        const actual = firstPassageProbability({ ...at, drift: 0 })
        expect(expected < 1e-290 ? Math.abs(actual - expected) : relative(actual, expected)).toBeLessThan(
          1e-12,
        )
      }),
    )
  })

  it('tends to exp(-2νa/σ²) as time runs out of bounds, and to certainty where the drift is down', () => {
    fc.assert(
      fc.property(parameters, ({ distance, drift, volatility }) => {
        const away = Math.abs(drift) + 1e-4
        const up = firstPassageProbability({ distance, drift: away, volatility, time: 1e12 })
        const down = firstPassageProbability({ distance, drift: -away, volatility, time: 1e12 })
        expect(up).toBeCloseTo(Math.exp((-2 * away * distance) / volatility ** 2), 9)
        expect(down).toBeCloseTo(1, 12)
      }),
    )
  })

  it('is monotone in every parameter, and a probability', () => {
    fc.assert(
      fc.property(parameters, fc.double({ min: 1, max: 3, noNaN: true }), (at, factor) => {
        const base = firstPassageProbability(at)
        const slack = base * (1 + 1e-9) + 1e-300
        expect(base).toBeGreaterThanOrEqual(0)
        expect(base).toBeLessThanOrEqual(1)
        expect(firstPassageProbability({ ...at, distance: at.distance * factor })).toBeLessThanOrEqual(slack)
        expect(firstPassageProbability({ ...at, drift: at.drift + (factor - 1) / 100 })).toBeLessThanOrEqual(
          slack,
        )
        expect(firstPassageProbability({ ...at, time: at.time / factor })).toBeLessThanOrEqual(slack)
      }),
    )
  })

  it('only knows ratios: a change of units changes nothing', () => {
    fc.assert(
      fc.property(parameters, fc.double({ min: 0.1, max: 10, noNaN: true }), (at, scale) => {
        const scaled = {
          distance: at.distance * scale,
          drift: at.drift * scale,
          volatility: at.volatility * scale,
          time: at.time,
        }
        const base = firstPassageProbability(at)
        expect(Math.abs(firstPassageProbability(scaled) - base)).toBeLessThanOrEqual(base * 1e-9 + 1e-300)
      }),
    )
  })

  it('has its limits', () => {
    const at = { distance: 0.1, drift: -0.01, volatility: 0.02, time: 5 }
    expect(firstPassageProbability({ ...at, distance: 0 })).toBe(1)
    expect(firstPassageProbability({ ...at, distance: -1 })).toBe(1)
    expect(firstPassageProbability({ ...at, time: 0 })).toBe(0)
    expect(firstPassageProbability({ ...at, volatility: 0 })).toBe(0)
    expect(firstPassageProbability({ ...at, volatility: 0, time: 10 })).toBe(1)
    expect(firstPassageProbability({ ...at, distance: Number.POSITIVE_INFINITY })).toBe(0)
    expect(() => firstPassageProbability({ ...at, volatility: -1 })).toThrow('not negative')
    expect(() => firstPassageProbability({ ...at, drift: Number.NaN })).toThrow('numbers')
  })

  /**
   * Paths in a few coarse steps. Between two points of a path above the barrier a Brownian bridge touches it with
   * probability exp(-2 x y / (σ² Δt)), so no discretisation error is left and only chance remains.
   */
  it.each([
    { distance: 0.05, drift: 0, volatility: 0.01, time: 25, seed: 1 },
    { distance: 0.05, drift: -0.001, volatility: 0.01, time: 50, seed: 2 },
    { distance: 0.05, drift: 0.002, volatility: 0.01, time: 50, seed: 3 },
    { distance: 0.02, drift: -0.0002, volatility: 0.004, time: 12, seed: 4 },
    { distance: 0.2, drift: -0.004, volatility: 0.03, time: 40, seed: 5 },
  ])('agrees with a seeded Monte Carlo ($distance, $drift, $volatility, $time)', ({ seed, ...at }) => {
    const normal = normals(seed)
    const paths = 60_000
    const steps = 4
    const dt = at.time / steps
    let sum = 0
    let squares = 0
    for (let path = 0; path < paths; path++) {
      let x = at.distance
      let untouched = 1
      for (let step = 0; step < steps && untouched > 0; step++) {
        const y = x + at.drift * dt + at.volatility * Math.sqrt(dt) * normal()
        untouched *= y <= 0 ? 0 : 1 - Math.exp((-2 * x * y) / (at.volatility ** 2 * dt))
        x = y
      }
      sum += 1 - untouched
      squares += (1 - untouched) ** 2
    }
    const mean = sum / paths
    const error = Math.sqrt((squares / paths - mean ** 2) / paths)
    expect(Math.abs(firstPassageProbability(at) - mean)).toBeLessThan(4 * error)
    expect(error).toBeLessThan(0.002)
  })
})

describe('mixedPassageProbability', () => {
  it('is the weighted mean over regimes, and the plain probability for one', () => {
    const at = { distance: 0.05, drift: 0, volatility: 0.01, time: 25 }
    const calm = firstPassageProbability(at)
    const rough = firstPassageProbability({ ...at, volatility: 0.03 })
    expect(mixedPassageProbability(at, [{ weight: 1, multiple: 1 }])).toBe(calm)
    expect(
      mixedPassageProbability(at, [
        { weight: 0.8, multiple: 1 },
        { weight: 0.2, multiple: 3 },
      ]),
    ).toBeCloseTo(0.8 * calm + 0.2 * rough, 15)
  })
})

describe('toSignificant', () => {
  it('cuts to six digits at any scale', () => {
    expect(toSignificant(0.123456789)).toBe(0.123457)
    expect(toSignificant(-1.23456789e-12)).toBe(-1.23457e-12)
    expect(toSignificant(0)).toBe(0)
  })

  it('hides the last digits, in which engines differ', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100_000, max: 999_999 }),
        fc.integer({ min: -9, max: 9 }),
        (digits, exponent) => {
          const value = digits * 10 ** exponent
          expect(toSignificant(value * (1 + Number.EPSILON))).toBe(toSignificant(value))
          expect(toSignificant(value * (1 - Number.EPSILON))).toBe(toSignificant(value))
        },
      ),
    )
  })
})

/** Standard normal numbers from a seed, by Box and Muller. */
function normals(seed: number): () => number {
  const generator = xoroshiro128plus(seed)
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)))
    return radius * Math.cos(2 * Math.PI * uniformFloat64(generator))
  }
}
