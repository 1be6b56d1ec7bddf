import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../infra/process/startWorker.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { SeedAnswer } from './seedWorker.ts'
import type { SeedResult } from './simulateSeed.ts'

/**
 * Runs seeds on several threads, each of which takes the next one when it is through.
 *
 * @param seeds in any order; results come in this one
 * @throws {InvariantError} when a seed could not be run to its end: that is a defect of the simulation.
 */
export async function runSeeds(
  seeds: readonly number[],
  jobs: number,
  onResult: (result: SeedResult) => void = () => undefined,
): Promise<readonly SeedResult[]> {
  const results = new Map<number, SeedResult>()
  const left = [...seeds].reverse()
  const work = (worker: Worker) =>
    new Promise<void>((resolve, reject) => {
      const next = () => {
        const seed = left.pop()
        if (seed === undefined) resolve()
        else worker.postMessage(seed)
      }
      worker.on('message', (answer: SeedAnswer) => {
        if ('error' in answer) {
          reject(new InvariantError(`Seed ${answer.seed} did not run to its end: ${answer.error}`))
          return
        }
        results.set(answer.seed, answer.result)
        onResult(answer.result)
        next()
      })
      worker.on('error', reject)
      worker.on('exit', (code) => reject(new InvariantError('A thread of the simulation ended.', { code })))
      next()
    })
  const workers = Array.from({ length: Math.max(1, Math.min(jobs, seeds.length)) }, () =>
    startWorker(import.meta.url, './seedWorker', { resourceLimits: { maxYoungGenerationSizeMb: 64 } }),
  )
  try {
    await Promise.all(workers.map(work))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
  return seeds.flatMap((seed) => results.get(seed) ?? [])
}
