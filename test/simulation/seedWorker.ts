import { parentPort } from 'node:worker_threads'
import { describeError } from '../../runtime/core/errors.ts'
import type { SeedResult } from './simulateSeed.ts'
import { simulateSeed } from './simulateSeed.ts'

/** What a thread says of a seed. */
export type SeedAnswer =
  | { readonly seed: number; readonly result: SeedResult }
  | { readonly seed: number; readonly error: string }

// Faults are errors by the thousand, and nobody reads where they were made.
Error.stackTraceLimit = 0

// A thread of `runSeeds`: runs the seeds that it is handed, one after the other.
parentPort?.on('message', async (seed: number) => {
  const answer: SeedAnswer = await simulateSeed(seed).then(
    (result) => ({ seed, result }),
    (error: unknown) => ({ seed, error: describeError(error) }),
  )
  parentPort?.postMessage(answer)
})
