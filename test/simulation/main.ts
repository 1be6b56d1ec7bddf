import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'
import { keepSeeds } from './keptSeeds.ts'
import { describeTotals, totalsOf } from './report.ts'
import { runSeeds } from './runSeeds.ts'
import { simulateSeed } from './simulateSeed.ts'

const USAGE = `npm run simulate -- [options]

  --seeds <n>    how many seeds to run (default 1000)
  --from <n>     the first of them (default 0)
  --seed <n>     one seed alone
  --verbose      every call and what became of it; with --seed
  --jobs <n>     threads (default: one for each core)
  --json         the totals as JSON
  --keep         adds seeds that fail to test/simulation/seeds.json, which every run of the tests replays
`

const options = {
  seeds: { type: 'string' },
  from: { type: 'string' },
  seed: { type: 'string' },
  jobs: { type: 'string' },
  verbose: { type: 'boolean' },
  json: { type: 'boolean' },
  keep: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const print = (text: string) => void process.stdout.write(text)

/** @throws {InvalidInputError} unless the text is a whole number from `least` on. */
function whole(name: string, text: string | undefined, fallback: number, least: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= least) return value
  throw new InvalidInputError(`--${name} is "${text}": it must be a whole number from ${least} on.`)
}

function readArguments() {
  try {
    return parseArgs({ options, allowPositionals: false }).values
  } catch (error) {
    throw new InvalidInputError(error instanceof Error ? error.message : String(error), {
      fix: 'See --help.',
    })
  }
}

/** @returns the exit code: 1 when an invariant broke. */
async function main(): Promise<number> {
  const values = readArguments()
  if (values.help === true) {
    print(USAGE)
    return 0
  }
  if (values.seed !== undefined) return one(whole('seed', values.seed, 0, 0), values.verbose === true)
  const count = whole('seeds', values.seeds, 1_000, 1)
  const from = whole('from', values.from, 0, 0)
  const jobs = whole('jobs', values.jobs, availableParallelism(), 1)
  const begin = performance.now()
  const seeds = Array.from({ length: count }, (_, index) => from + index)
  let done = 0
  const results = await runSeeds(seeds, jobs, ({ seed, violations }) => {
    done += 1
    if (violations.length > 0) process.stderr.write(`seed ${seed}: ${violations[0]?.invariant}\n`)
    if (process.stderr.isTTY && done % 50 === 0) process.stderr.write(`\r${done} of ${count}`)
  })
  const totals = totalsOf(results)
  const seconds = (performance.now() - begin) / 1_000
  print(
    values.json === true
      ? `${JSON.stringify({ ...totals, seconds })}\n`
      : `${describeTotals(totals, seconds)}\n`,
  )
  if (values.keep === true)
    keepSeeds(totals.failed.map(({ seed, why }) => ({ seed, found: why.slice(0, 200) })))
  return totals.failed.length === 0 ? 0 : 1
}

async function one(seed: number, verbose: boolean): Promise<number> {
  const { lines, digest, violations, calls, blocks, mined } = await simulateSeed(seed, { verbose })
  for (const line of lines) print(`${line}\n`)
  print(
    `seed ${seed}: ${calls} port calls, ${blocks} blocks, ${mined} transactions mined, digest ${digest}\n`,
  )
  for (const { invariant, what, at } of violations) print(`broken after ${at} ms: ${invariant}: ${what}\n`)
  if (violations.length === 0) print('every invariant held\n')
  return violations.length === 0 ? 0 : 1
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    if (!(error instanceof RialtoError)) throw error
    process.stderr.write(`${error.toLine()}\n`)
    process.exitCode = 2
  },
)
