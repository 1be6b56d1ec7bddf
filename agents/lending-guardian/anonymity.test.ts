import { formatUnits } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { agentId } from '../../runtime/core/ids.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { wad } from '../../runtime/core/units.ts'
import {
  type Anonymity,
  type Asked,
  anonymitySets,
  askAll,
  linkedSets,
  type Prompts,
  promptOf,
  promptsOf,
  summarise,
} from './adversary.fixture.ts'
import { createBlocks, createPopulation } from './population.fixture.ts'
import { situationSchema } from './schema.ts'

// Prompts must not name their owner. Here are 5,000 borrowers, an adversary who knows each of them to the wei and every
// block, and the prompts that their guardians would send: who else would have sent this very one?

const BORROWERS = 5_000
/** The thresholds of the example policy, which whoever changes nothing has. */
const options = {
  id: agentId('guardian'),
  model: null,
  thresholds: {
    floor: wad(105n * 10n ** 16n),
    trigger: wad(115n * 10n ** 16n),
    target: wad(135n * 10n ** 16n),
  },
}
/** A usual day; and eight blocks in a row of a steep fall, in which the pools run ahead of the oracle. */
const blocks = {
  calm: createBlocks(3, { count: 1, volatilityBps: 5 }),
  crash: createBlocks(4, { count: 8, volatilityBps: 40, driftBps: -25, poolLagBps: 60 }),
}
const markets = ['calm', 'crash'] as const

let asked: Record<(typeof markets)[number], readonly (readonly Asked[])[]>
beforeAll(() => {
  const population = createPopulation(1, BORROWERS)
  const askedAt = (market: (typeof markets)[number]) =>
    blocks[market].map((block) => askAll(population, block, options))
  asked = { calm: askedAt('calm'), crash: askedAt('crash') }
}, 600_000)

const everyone = () => [...asked.calm, ...asked.crash].flat()
const promptsAt = (market: (typeof markets)[number]): readonly Prompts[] =>
  asked[market].map((each) => promptsOf(each))

const report: string[] = []
function tell(title: string, { asked: count, min, p5, median, underTen, bits }: Anonymity): void {
  report.push(
    `${title.padEnd(44)} ${[count, min, p5, median].map((value) => String(value).padStart(6)).join(' ')} ` +
      `${(underTen * 100).toFixed(1).padStart(8)} % ${bits.toFixed(2).padStart(6)}`,
  )
}

describe('the anonymity set of a prompt, of 5,000 borrowers', () => {
  // Four populations drawn by these rules gave, calm: median 94 to 129, 5th percentile 6 to 20, under ten 2.7 to 10.4 %,
  // 5.5 to 6.3 bits; crash: 42 to 48, 4 to 5, 10.3 to 16.0 %, 6.7 to 6.9 bits. The floors hold for all of them. They are
  // no promise for a chain where the borrowers are others.
  it.each([
    ['calm', { median: 90, p5: 5, underTen: 0.12, bits: 6.5 }],
    ['crash', { median: 40, p5: 4, underTen: 0.17, bits: 7.0 }],
  ] as const)('in a %s market, for a reader who knows the block', (market, floor) => {
    const found = summarise(anonymitySets(promptsAt(market).slice(0, 1)), BORROWERS)
    tell(`${market}, the block is known`, found)
    // Whoever asks is one of those with cause to ask: so much is told by asking at all.
    expect(found.asked).toBeGreaterThan(BORROWERS / 20)
    expect(found.asked).toBeLessThan(BORROWERS / 5)
    expect(found.median).toBeGreaterThanOrEqual(floor.median)
    expect(found.p5).toBeGreaterThanOrEqual(floor.p5)
    expect(found.underTen).toBeLessThanOrEqual(floor.underTen)
    expect(found.bits).toBeLessThanOrEqual(floor.bits)
  })

  it('is no smaller for a reader who does not know which of eight blocks it was', () => {
    const known = anonymitySets(promptsAt('crash').slice(0, 1))
    const unknown = anonymitySets(promptsAt('crash'))
    tell('crash, one of eight blocks', summarise(unknown, BORROWERS))
    for (const [index, size] of unknown.entries()) expect(size).toBeGreaterThanOrEqual(known[index] ?? 0)
  })

  it('shrinks with every prompt that a reader can link to the one before', () => {
    let last = Number.POSITIVE_INFINITY
    for (const count of [1, 2, 4, 8]) {
      const found = summarise(linkedSets(promptsAt('crash').slice(0, count)), BORROWERS)
      tell(`crash, ${count} linked prompt${count === 1 ? '' : 's'}`, found)
      expect(found.median).toBeLessThanOrEqual(last)
      last = found.median
    }
    expect(last).toBeGreaterThan(0)
  })

  it('would be one if a prompt held what it used to: an exact health factor, or a cost', () => {
    const [calm = []] = asked.calm
    const withExact = (figure: (snapshot: Snapshot) => bigint | undefined) =>
      anonymitySets([promptsOf(calm, (each) => `${promptOf(each)} ${figure(each.snapshot)}`)])
    const leaks = {
      'with the health factor to 0.0001': withExact(
        ({ positions }) => (positions[0]?.account.healthFactor ?? 0n) / 10n ** 14n,
      ),
      'with the debt in hundreds of dollars': withExact(
        ({ positions }) => (positions[0]?.account.totalDebt ?? 0n) / 10n ** 10n,
      ),
    }
    for (const [title, sets] of Object.entries(leaks)) {
      const found = summarise(sets, BORROWERS)
      tell(`calm, ${title}`, found)
      expect(found.median).toBe(1)
    }
  })

  it('is reported', () => {
    const head = `${''.padEnd(44)}  asked    min     p5 median   under 10   bits`
    process.stdout.write(`${[head, ...report].join('\n')}\n`)
    expect(report).toHaveLength(9)
  })
})

describe('a prompt', () => {
  it('is one of few', () => {
    for (const market of markets)
      for (const prompts of promptsAt(market)) expect(new Set(prompts.values()).size).toBeLessThan(60)
  })

  it('is what the schema allows, and holds no address, hash, exact amount, block or time', () => {
    expect(everyone().length).toBeGreaterThan(2_000)
    for (const each of everyone()) {
      expect(situationSchema.parse(each.situation)).toEqual(each.situation)
      const prompt = promptOf(each)
      expect(prompt).not.toMatch(/0x|[0-9a-f]{12}/i)
      const numbers = [...prompt.matchAll(/\d[\d.,_]*/g)].map(([number]) => number.replace(/[.,]+$/, ''))
      for (const number of numbers) expect(number).toMatch(/^(\d{1,5}|\d{1,2}\.\d{1,2})$/)
      const secrets = secretsIn(each.snapshot)
      expect(numbers.filter((number) => secrets.has(digitsOf(number)))).toEqual([])
    }
  })

  it('has no place for anything else: every field has few values, or is public or the owner’s own setting', () => {
    expect(leavesOf(situationSchema.toJSONSchema() as Json)).toEqual({
      schema: 1,
      // On a rung, by the schema’s own check.
      healthFactor: 1_001,
      // What the owner set; whoever changes nothing is like everyone else.
      hardFloor: 1_001,
      target: 1_001,
      horizonBlocks: 1_024,
      // Public: the prices of the main collateral in the main debt.
      'market.volatilityBps': 1_001,
      'market.driftBps': 1_001,
      'market.poolDeviationBps': 8,
      'liquidation.bonusBps': 3,
      'liquidation.closeFactorBps': 2,
      'candidates[].id': 2,
      'candidates[].kind': 2,
      'candidates[].sizeBounds[0]': 2,
      'candidates[].sizeBounds[1]': 3,
      'candidates[].projections[].size': 5,
      // Follows from the health factor, the target and the size.
      'candidates[].projections[].healthFactorAfter': 1_001,
      'candidates[].projections[].costBps': 5,
      'candidates[].projections[].debtAfter': 21,
    })
    const [each] = everyone()
    for (const healthFactor of [1.06, 1.11, 1.12])
      expect(situationSchema.safeParse({ ...each?.situation, healthFactor }).success).toBe(false)
    for (const field of ['account', 'debt', 'block', 'time', 'id', 'returnsBps'])
      expect(situationSchema.safeParse({ ...each?.situation, [field]: 1 }).success).toBe(false)
  })
})

type Json = {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Json>>
  readonly additionalProperties?: boolean
  readonly items?: Json | false
  readonly prefixItems?: readonly Json[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly multipleOf?: number
}

/** How many values each field can take. @throws {RangeError} where one can take any. */
function leavesOf(schema: Json, path = ''): Record<string, number> {
  const { properties, prefixItems, items } = schema
  if (properties !== undefined) {
    if (schema.additionalProperties !== false) throw new RangeError(`${path} takes any property.`)
    return Object.assign(
      {},
      ...Object.entries(properties).map(([name, value]) => leavesOf(value, path ? `${path}.${name}` : name)),
    )
  }
  if (prefixItems !== undefined && items === false)
    return Object.assign({}, ...prefixItems.map((item, index) => leavesOf(item, `${path}[${index}]`)))
  if (items) return leavesOf(items, `${path}[]`)
  if (schema.const !== undefined) return { [path]: 1 }
  if (schema.enum !== undefined) return { [path]: schema.enum.length }
  const { minimum, maximum, multipleOf = 1 } = schema
  if (minimum === undefined || maximum === undefined || (schema.type === 'number' && multipleOf === 1))
    throw new RangeError(`${path} takes any value.`)
  return { [path]: Math.round((maximum - minimum) / multipleOf) + 1 }
}

/** The digits of a number that tell something: without the point, and the zeros around. */
const digitsOf = (number: string): string => number.replaceAll(/\D/g, '').replace(/^0+|0+$/g, '')

/** Everything exact about a borrower and a block that has three telling digits or more, cut to any such length. */
function secretsIn({ block, wallet, positions }: Snapshot): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (value: unknown): void => {
    if (typeof value === 'bigint') {
      const digits = digitsOf(formatUnits(value, 0))
      for (let length = 4; length <= digits.length; length++) found.add(digits.slice(0, length))
    } else if (typeof value === 'object' && value !== null)
      for (const member of Object.values(value)) visit(member)
  }
  visit([block, wallet.tokens, positions.map(({ reserves }) => reserves)])
  return found
}
