import type { TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { issueToken, type TokenRequest } from '../tokens/privacyPass/issuance.ts'

/** One token to be signed. */
export type SigningTask = { readonly pair: TokenKeyPair; readonly request: TokenRequest }

/** Signs what is paid for, a little at a time. */
export type SigningQueue = {
  /**
   * Signs all tasks of one request.
   *
   * @param isWanted asked before each signature: whether there is still somebody to give it to
   * @returns the blind signatures in order; undefined when they are wanted no more
   * @throws {TokenError} `SIGNING_FAILED`
   */
  sign(tasks: readonly SigningTask[], isWanted: () => boolean): Promise<readonly Uint8Array[] | undefined>
}

type Job = {
  readonly tasks: readonly SigningTask[]
  readonly isWanted: () => boolean
  readonly signatures: Uint8Array[]
  readonly resolve: (signatures: readonly Uint8Array[] | undefined) => void
  readonly reject: (error: unknown) => void
}

/**
 * A signature takes a fifth of a millisecond in which nothing else happens, so a batch of 256 would keep everybody
 * waiting for 55 ms. Here signing stops after a slice, for all else to have its turn, and takes one token of each
 * request by turns, so that a small request does not wait for a large one.
 *
 * @param slice milliseconds
 */
export function createSigningQueue(slice: number): SigningQueue {
  const jobs: Job[] = []
  let isRunning = false

  const run = () => {
    const until = performance.now() + slice
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      if (advance(job)) jobs.push(job)
      if (performance.now() >= until && jobs.length > 0) return void setImmediate(run)
    }
    isRunning = false
  }
  return {
    sign: (tasks, isWanted) =>
      new Promise((resolve, reject) => {
        jobs.push({ tasks, isWanted, signatures: [], resolve, reject })
        if (isRunning) return
        isRunning = true
        setImmediate(run)
      }),
  }
}

/** Signs the next token of a job. @returns whether there is more to do */
function advance({ tasks, isWanted, signatures, resolve, reject }: Job): boolean {
  const task = tasks[signatures.length]
  if (task !== undefined && !isWanted()) {
    resolve(undefined)
    return false
  }
  try {
    if (task !== undefined) signatures.push(issueToken([task.pair], task.request))
  } catch (error) {
    reject(error)
    return false
  }
  if (signatures.length < tasks.length) return true
  resolve(signatures)
  return false
}
