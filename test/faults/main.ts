import { parseArgs } from 'node:util'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'
import { keepSchedules } from './keptSchedules.ts'
import { describeTotals, runSchedules } from './runSchedules.ts'

const USAGE = `npm run simulate:real -- [options]

Plays schedules of faults on real anvil, through a fault proxy, with the real database, queue and signer process.
TEST_DATABASE_URL and TEST_REDIS_URL name servers to use in place of the embedded ones.

  --schedules <n>  how many (default 100)
  --from <n>       the seed of the first of them (default 0)
  --seed <n>       one schedule alone, with all that happened in it
  --keep           adds schedules that fail to test/faults/schedules.json, which every run of the tests replays
`

const options = {
  schedules: { type: 'string' },
  from: { type: 'string' },
  seed: { type: 'string' },
  keep: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const print = (text: string) => void process.stdout.write(text)

/** @throws {InvalidInputError} unless the text is a whole number from `least` on. */
function whole(name: string, text: string | undefined, fallback: number, least: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d{1,6}$/.test(text) && value >= least) return value
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
  const isOne = values.seed !== undefined
  const count = isOne ? 1 : whole('schedules', values.schedules, 100, 1)
  const from = isOne ? whole('seed', values.seed, 0, 0) : whole('from', values.from, 0, 0)
  const begin = performance.now()
  const totals = await runSchedules(
    Array.from({ length: count }, (_, index) => from + index),
    {
      onResult({ seed, violations, lines }) {
        if (isOne) for (const line of lines) print(`${line}\n`)
        for (const { invariant, what } of violations)
          process.stderr.write(`schedule ${seed}: ${invariant}: ${what}\n`)
      },
    },
  )
  print(describeTotals(totals, (performance.now() - begin) / 1_000))
  if (values.keep === true)
    keepSchedules(totals.failed.map(({ seed, why }) => ({ seed, found: why.slice(0, 200) })))
  return totals.failed.length === 0 ? 0 : 1
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
