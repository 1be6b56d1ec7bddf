import { availableParallelism } from 'node:os'
import { commandLine, runCommand, wholeNumber } from '../commandLine.ts'
import { keepSeeds } from './keptSeeds.ts'

const command = commandLine('simulate', 'Plays seeded faults on the real stages, in memory and virtual time.')
  .option('--seeds <n>', 'how many seeds to run', wholeNumber(1), 1_000)
  .option('--from <n>', 'the first of them', wholeNumber(0), 0)
  .option('--seed <n>', 'one seed alone', wholeNumber(0))
  .option('--verbose', 'every call and what became of it; with --seed')
  .option('--jobs <n>', 'threads: one for each core', wholeNumber(1), availableParallelism())
  .option('--json', 'the totals as JSON')
  .option(
    '--keep',
    'adds seeds that fail to test/simulation/seeds.json, which every run of the tests replays',
  )

type Options = {
  readonly seeds: number
  readonly from: number
  readonly seed?: number
  readonly verbose?: boolean
  readonly jobs: number
  readonly json?: boolean
  readonly keep?: boolean
}

const print = (text: string) => void process.stdout.write(text)

/** @returns the exit code: 1 when an invariant broke. */
async function main(): Promise<number> {
  const options = command.opts<Options>()
  if (options.seed !== undefined) return one(options.seed, options.verbose === true)
  const { seeds: count, from, jobs } = options
  // Only now: a wrong option is said at once.
  const { describeTotals, totalsOf } = await import('./report.ts')
  const { runSeeds } = await import('./runSeeds.ts')
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
    options.json === true
      ? `${JSON.stringify({ ...totals, seconds })}\n`
      : `${describeTotals(totals, seconds)}\n`,
  )
  if (options.keep === true)
    keepSeeds(totals.failed.map(({ seed, why }) => ({ seed, found: why.slice(0, 200) })))
  return totals.failed.length === 0 ? 0 : 1
}

async function one(seed: number, verbose: boolean): Promise<number> {
  const { simulateSeed } = await import('./simulateSeed.ts')
  const { lines, digest, violations, calls, blocks, mined } = await simulateSeed(seed, { verbose })
  for (const line of lines) print(`${line}\n`)
  print(
    `seed ${seed}: ${calls} port calls, ${blocks} blocks, ${mined} transactions mined, digest ${digest}\n`,
  )
  for (const { invariant, what, at } of violations) print(`broken after ${at} ms: ${invariant}: ${what}\n`)
  if (violations.length === 0) print('every invariant held\n')
  return violations.length === 0 ? 0 : 1
}

await runCommand(command, main)
