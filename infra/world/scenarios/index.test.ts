import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { sampleFile } from '../../../test/sampleData.ts'
import { findScenario, type ScenarioOptions, scenarios } from './index.ts'
import { MAX_FILE_BYTES } from './readPriceText.ts'

const CSV = 'datetime,open,high,low,close\n2020-03-12,100,100,100,100\n2020-03-13,100,110,90,105\n'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rialto-scenarios-'))
})
afterAll(() => rm(directory, { recursive: true }))

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

async function failure(nameOrFile: string, options?: ScenarioOptions): Promise<InvalidInputError> {
  const error = await findScenario(nameOrFile, options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InvalidInputError)
  return error as InvalidInputError
}

describe('the registry', () => {
  it('has names that are unique and in kebab-case, and a line to say about each', () => {
    expect(scenarios.map(({ name }) => name)).toEqual(['black-thursday', 'slow-bleed', 'oracle-glitch'])
    for (const { name, summary } of scenarios) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(summary).toMatch(/^.{20,90}$/)
    }
  })

  it.each([
    ['black-thursday', 96, 'guarded-survives'],
    ['slow-bleed', 96, 'guarded-survives'],
    ['oracle-glitch', 48, 'no-costly-action'],
  ])('finds %s, %d blocks by default, passing by %s', async (name, blocks, passRule) => {
    expect(await findScenario(name)).toMatchObject({ blocks, scenario: { name, passRule } })
    expect(await findScenario(name, { blocks: 500 })).toMatchObject({ blocks: 500 })
  })

  it('finds a file, and says what is in it', async () => {
    const path = await write('eth.csv', CSV)
    expect(await findScenario(path)).toMatchObject({
      blocks: 24,
      scenario: { name: 'eth.csv', passRule: 'completes' },
      priceFile: { file: path, bars: 2, gaps: [] },
    })
    expect(await findScenario(path, { from: '2020-03-13', blocks: 40 })).toMatchObject({
      blocks: 40,
      priceFile: { bars: 1 },
    })
  })
})

describe('a name that is none', () => {
  it.each([
    ['black-thrusday', 'Did you mean black-thursday?'],
    ['Slow-Bleed', 'Did you mean slow-bleed?'],
    ['oracleglitch', 'Did you mean oracle-glitch?'],
    ['eth-1h.csv', 'Name one of these, or give the path of an OHLCV CSV file.'],
    ['', 'Name one of these, or give the path of an OHLCV CSV file.'],
    ['a\0b', 'Name one of these, or give the path of an OHLCV CSV file.'],
  ])('"%s" is an error that lists the names', async (name, fix) => {
    const error = await failure(name)
    expect(error).toMatchObject({ code: 'UNKNOWN_SCENARIO', fix })
    expect(error.message).toContain('black-thursday, slow-bleed, oracle-glitch')
  })
})

describe('options that do not fit', () => {
  it('a range for a scenario without dates', async () => {
    expect(await failure('slow-bleed', { from: '2020-03-12' })).toMatchObject({ code: 'SCENARIO_OPTIONS' })
    expect(await failure('slow-bleed', { to: '2020-03-12' })).toMatchObject({ code: 'SCENARIO_OPTIONS' })
  })

  it('too few blocks, before anything starts', async () => {
    expect(await failure('slow-bleed', { blocks: 11 })).toMatchObject({ code: 'SCENARIO_BLOCKS' })
    const error = await failure(await write('short.csv', CSV), { blocks: 23 })
    expect(error).toMatchObject({ code: 'SCENARIO_BLOCKS', details: { min: 24, blocks: 23 } })
  })
})

describe('a file that cannot be read', () => {
  it('a directory', async () => {
    const path = join(directory, 'folder.csv')
    await mkdir(path)
    const error = await failure(path)
    expect(error).toMatchObject({ code: 'PRICE_FILE_UNREADABLE' })
    expect(error.message).toContain('is a directory')
  })

  it('a path through a file', async () => {
    expect(await failure(join(await write('plain.csv', CSV), 'eth.csv'))).toMatchObject({
      code: 'UNKNOWN_SCENARIO',
    })
  })

  it('a device, which might never end', async () => {
    expect((await failure('/dev/null')).message).toContain('is no regular file')
  })

  it('a binary file', async () => {
    const zeros = await failure(await write('zeros.csv', new Uint8Array(1_000)))
    expect(zeros.message).toContain('is a binary file')
    const noise = await failure(
      await write(
        'noise.csv',
        Uint8Array.from({ length: 256 }, (_, byte) => 255 - byte),
      ),
    )
    expect(noise.message).toContain('is no UTF-8 text')
    const wide = await failure(await write('wide.csv', Buffer.from(`\uFEFF${CSV}`, 'utf16le')))
    expect(wide.message).toContain('is no UTF-8 text')
  })

  it('a file that is too large, without reading it', async () => {
    const path = await write('large.csv', CSV)
    await truncate(path, MAX_FILE_BYTES + 1)
    expect((await failure(path)).message).toContain(`at most ${MAX_FILE_BYTES} are read`)
  })

  it('but a byte order mark is passed over', async () => {
    expect((await findScenario(await write('bom.csv', `\uFEFF${CSV}`))).priceFile?.bars).toBe(2)
  })

  it.each([
    ['a crash to nothing', '2020-03-14,100,100,1e-12,1,', 'rounds to zero'],
    ['a price beyond all markets', '2020-03-14,100,1e12,100,100,', 'is above 1000000000 dollars'],
    ['a price beyond 256 bits', '2020-03-14,100,1e99,100,100,', 'is above 1000000000 dollars'],
  ])('%s cannot be scaled to the world', async (name, row, message) => {
    const error = await failure(await write(`${name}.csv`, `${CSV}${row.slice(0, -1)}\n`))
    expect(error).toMatchObject({ code: 'PRICE_FILE_ROW', details: { line: 4 } })
    expect(error.message).toContain(message)
  })
})

const hourly = sampleFile('prices/mantis_ETH_1h_2020-2025.csv')
// Real history is no part of the package: these cases are extra, where it is at hand.
describe.runIf(hourly.exists)(`years of real hours (${hourly.title})`, () => {
  it('plays a real crash: four days of November 2022', async () => {
    const { blocks, priceFile } = await findScenario(hourly.path, { from: '2022-11-07', to: '2022-11-10' })
    expect(blocks).toBe(1_152)
    expect(priceFile).toMatchObject({ bars: 96, gaps: [], intervalMs: 3_600_000 })
  })

  it('plays 12 and 13 March 2020 down to the wick', async () => {
    const { scenario, blocks } = await findScenario(hourly.path, { from: '2020-03-12', to: '2020-03-13' })
    const levels = scenario.path({ seed: 1, blocks }).map(({ market }) => Number(market) / 1e8)
    expect(levels).toHaveLength(576)
    expect(levels[0]).toBe(2_000)
    expect(Math.min(...levels)).toBeCloseTo((84.23 * 2_000) / 194.77, 6)
  })

  it('holds no hour that is missing', async () => {
    expect((await findScenario(hourly.path)).priceFile).toMatchObject({ bars: 52_147, gaps: [] })
  })
})
