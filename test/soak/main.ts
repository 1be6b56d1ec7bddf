import { commandLine, runCommand, wholeNumber } from '../commandLine.ts'
import type { Sample } from './growth.ts'

const command = commandLine(
  'soak',
  `Carries out intents by the thousand through the real stages, with the real database, queue and signer process on anvil,
and looks at the memory. Exit code 1 when it grows, or when journal, ledger and chain do not agree at last.`,
).option('--intents <n>', 'how many, at least 1000', wholeNumber(1_000), 10_000)

/** What the heap may grow by with each intent, in bytes: ten megabytes over ten thousand of them. */
const BOUND = 1_024
const SAMPLE_EVERY = 1_000

const print = (line: string) => void process.stdout.write(`${line}\n`)
const megabytes = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`

function describe({ intents, heapUsed, rss }: Sample, rate: number): string {
  return `${String(intents).padStart(6)} intents   heap ${megabytes(heapUsed)}   resident ${megabytes(rss)}   ${rate.toFixed(1)} intents/s`
}

/** @returns the exit code: 1 when something is wrong. */
async function main(): Promise<number> {
  // Only now: a wrong option is said at once.
  const { runSoak } = await import('./runSoak.ts')
  const { intents } = command.opts<{ readonly intents: number }>()
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

await runCommand(command, main)
