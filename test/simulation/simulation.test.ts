import { describe, expect, it } from 'vitest'
import { mutants } from './defects.fixture.ts'
import { invariants } from './invariants.ts'
import { keptSeeds } from './keptSeeds.ts'
import { totalsOf } from './report.ts'
import { runSeeds } from './runSeeds.ts'
import { type Defect, simulateSeed } from './simulateSeed.ts'

const JOBS = 2
const SEEDS = Array.from({ length: 1_000 }, (_, seed) => seed)

/**
 * Arrows that these seeds need not reach: who finds that another transaction was mined on a nonce has taken what
 * was `mined` on it out of its block first, unless a second worker puts it there in between.
 */
const RARE: readonly string[] = ['mined > replaced']

describe('a thousand seeds', () => {
  it('hold every invariant, hit every fault, and go every way that an attempt can go', async () => {
    const totals = totalsOf(await runSeeds(SEEDS, JOBS))
    expect(totals.failed).toEqual([])
    expect(totals.mined).toBeGreaterThan(totals.seeds)
    const never = (counts: Readonly<Record<string, number>>) =>
      Object.keys(counts).filter((name) => counts[name] === 0)
    expect(never(totals.hits)).toEqual([])
    expect(never(totals.arrows).filter((arrow) => !RARE.includes(arrow))).toEqual([])
  }, 600_000)

  it('hold in the seeds that once found a defect', async () => {
    const kept = keptSeeds().map(({ seed }) => seed)
    expect(totalsOf(await runSeeds(kept, JOBS)).failed).toEqual([])
  }, 120_000)
})

describe('a seed', () => {
  // Of these, 35 has people who approve and a journal that is thrown back, 170 a protector that acts and a relay.
  it.each([3, 35, 170])('is the same to the last byte when it is run again: %i', async (seed) => {
    const [first, verbose, [elsewhere]] = [
      await simulateSeed(seed),
      await simulateSeed(seed, { verbose: true }),
      await runSeeds([seed], 1),
    ]
    expect(verbose.digest).toBe(first.digest)
    expect(elsewhere?.digest).toBe(first.digest)
    expect(verbose.lines.length).toBeGreaterThan(first.calls)
    expect(verbose).toEqual({ ...first, lines: verbose.lines })
  })

  it('differs from the next one', async () => {
    expect((await simulateSeed(1)).digest).not.toBe((await simulateSeed(2)).digest)
  })
})

describe('a defect is found', () => {
  /** How many seeds a defect may take to show. */
  const TRIES = 80

  /** What a defect takes to show, without the defect. */
  const sceneOf = ({ parts = {}, needs = [] }: Defect): Defect => ({ parts, needs })

  it('of every invariant', () => {
    const broken = new Set<string>(mutants.map(({ breaks }) => breaks))
    expect(invariants.filter((invariant) => !broken.has(invariant))).toEqual([])
  })

  it.each(mutants)(
    '$name: $breaks',
    async ({ defect, breaks }) => {
      for (let seed = 0; seed < TRIES; seed++) {
        const { violations } = await simulateSeed(seed, { defect })
        if (!violations.some(({ invariant }) => invariant === breaks)) continue
        // It is the defect that breaks it: the same parts and faults without it break nothing.
        expect((await simulateSeed(seed, { defect: sceneOf(defect) })).violations).toEqual([])
        return
      }
      expect.unreachable(`no seed of ${TRIES} broke "${breaks}"`)
    },
    120_000,
  )
})
