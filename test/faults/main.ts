import { commandLine, runCommand, wholeNumber } from '../commandLine.ts'
import { keepSchedules } from './keptSchedules.ts'

const command = commandLine(
  'simulate:real',
  `Plays schedules of faults on real anvil, through a fault proxy, with the real database, queue and signer process.
TEST_DATABASE_URL and TEST_REDIS_URL name servers to use in place of the embedded ones.`,
)
  .option('--schedules <n>', 'how many', wholeNumber(1), 100)
  .option('--from <n>', 'the seed of the first of them', wholeNumber(0), 0)
  .option('--seed <n>', 'one schedule alone, with all that happened in it', wholeNumber(0))
  .option(
    '--keep',
    'adds schedules that fail to test/faults/schedules.json, which every run of the tests replays',
  )

type Options = {
  readonly schedules: number
  readonly from: number
  readonly seed?: number
  readonly keep?: boolean
}

const print = (text: string) => void process.stdout.write(text)

/** @returns the exit code: 1 when an invariant broke. */
async function main(): Promise<number> {
  // Only now: a wrong option is said at once.
  const { describeTotals, runSchedules } = await import('./runSchedules.ts')
  const options = command.opts<Options>()
  const isOne = options.seed !== undefined
  const count = isOne ? 1 : options.schedules
  const from = options.seed ?? options.from
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
  if (options.keep === true)
    keepSchedules(totals.failed.map(({ seed, why }) => ({ seed, found: why.slice(0, 200) })))
  return totals.failed.length === 0 ? 0 : 1
}

await runCommand(command, main)
