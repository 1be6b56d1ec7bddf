import { parseArgs } from 'node:util'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'
import type { Sample } from './growth.ts'
import { runSoak } from './runSoak.ts'

const USAGE = `npm run soak -- [options]

Carries out intents by the thousand through the real stages, with the real database, queue and signer process on anvil,
and looks at the memory. Exit code 1 when it grows, or when journal, ledger and chain do not agree at last.

  --intents <n>  how many (default 10000, at least 1000)
`

/** What the heap may grow by with each intent, in bytes: ten megabytes over ten thousand of them. */
const BOUND = 1_024
const SAMPLE_EVERY = 1_000

const print = (line: string) => void process.stdout.write(`${line}\n`)
const megabytes = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`

function describe({ intents, heapUsed, rss }: Sample, rate: number): string {
  return `${String(intents).padStart(6)} intents   heap ${megabytes(heapUsed)}   resident ${megabytes(rss)}   ${rate.toFixed(1)} intents/s`
}

/** @throws {InvalidInputError} when the arguments are not as they should be. */
function intentsOf(): number | null {
  const { values } = (() => {
    try {
      return parseArgs({ options: { intents: { type: 'string' }, help: { type: 'boolean' } } })
    } catch (error) {
      throw new InvalidInputError(error instanceof Error ? error.message : String(error), {
        fix: 'See --help.',
      })
    }
  })()
  if (values.help === true) return null
  const { intents = '10000' } = values
  if (/^\d{4,7}$/.test(intents)) return Number(intents)
  throw new InvalidInputError(`--intents is "${intents}": it must be a whole number from 1000 on.`)
}

async function main(): Promise<number> {
  const intents = intentsOf()
  if (intents === null) {
    print(USAGE)
    return 0
  }
  // With few intents, more often: a line needs points.
  const sampleEvery = Math.min(SAMPLE_EVERY, Math.floor(intents / 10))
  const found = await runSoak({
    intents,
    sampleEvery,
    onSample: (sample, rate) => print(describe(sample, rate)),
  })
  const { growth, retained, wrong, intentsPerSecond } = found
  print(
    `${found.intents} intents, ${intentsPerSecond.toFixed(1)} a second; the heap grows by ${Math.round(growth)} bytes an intent (bound: ${BOUND}); ${retained} snapshots are still held`,
  )
  for (const line of wrong) print(line)
  print(wrong.length === 0 ? 'journal, ledger and chain agree' : `${wrong.length} times they do not agree`)
  return growth > BOUND || wrong.length > 0 ? 1 : 0
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
