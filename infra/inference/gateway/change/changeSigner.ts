import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../../process/startWorker.ts'
import type { TokenKeyPair } from '../../tokens/blindRsa/keys.ts'
import type { TokenRequest } from '../../tokens/privacyPass/issuance.ts'
import { ChangeSignerError } from '../errors.ts'
import type { FromSigner, SigningJob, ToSigner } from './messages.ts'

/** Signs change off the event loop. */
export type ChangeSigner = {
  /**
   * Signs the first `due` of the requests.
   *
   * @returns as many blind signatures, in order
   * @throws {ChangeSignerError}
   */
  sign(job: {
    readonly keys: readonly TokenKeyPair[]
    readonly requests: readonly TokenRequest[]
    readonly paid: number
    readonly due: number
  }): Promise<readonly Uint8Array[]>
  close(): Promise<void>
}

type Waiting = {
  readonly job: SigningJob
  readonly resolve: (signatures: readonly Uint8Array[]) => void
  readonly reject: (error: ChangeSignerError) => void
}

/** How often in a row a thread may end before it has signed anything. */
const MOST_STARTS = 3

/**
 * Starts the thread that signs change. A thread that ends is started anew and given what was not done yet: the same
 * request gives the same signature.
 */
export function startChangeSigner(): ChangeSigner {
  const waiting = new Map<number, Waiting>()
  let keys: readonly TokenKeyPair[] = []
  let queue: SigningJob[] = []
  let lastId = 0
  let starts = 0
  let closed = false
  let broken: ChangeSignerError | undefined
  let worker = start()

  function start(): Worker {
    starts += 1
    let cause: unknown
    const started = startWorker(import.meta.url, './changeWorker')
    started.on('message', (message: FromSigner) => {
      starts = 0
      const done = waiting.get(message.id)
      waiting.delete(message.id)
      if (waiting.size === 0) started.unref()
      if ('signatures' in message) done?.resolve(message.signatures)
      else done?.reject(new ChangeSignerError(message.refused))
    })
    started.on('error', (error) => {
      cause = error
    })
    started.on('exit', () => {
      if (closed) return
      if (starts < MOST_STARTS) {
        worker = start()
        post(worker, { kind: 'keys', keys })
        post(worker, { kind: 'jobs', jobs: [...waiting.values()].map(({ job }) => job) })
        queue = []
        return
      }
      broken = new ChangeSignerError(cause)
      for (const { reject } of waiting.values()) reject(broken)
      waiting.clear()
    })
    // An idle thread keeps no process alive.
    if (waiting.size === 0) started.unref()
    return started
  }

  function flush(): void {
    if (queue.length === 0 || broken !== undefined) return
    const jobs = queue
    queue = []
    post(worker, { kind: 'jobs', jobs })
  }

  return {
    sign({ keys: with_, requests, paid, due }) {
      if (broken !== undefined || closed) return Promise.reject(broken ?? new ChangeSignerError())
      if (due === 0) return Promise.resolve([])
      if (with_.length !== keys.length || with_.some((pair, at) => pair !== keys[at])) {
        flush()
        keys = with_
        post(worker, { kind: 'keys', keys })
      }
      lastId += 1
      const job = { id: lastId, requests, paid, due }
      return new Promise((resolve, reject) => {
        if (waiting.size === 0) worker.ref()
        waiting.set(job.id, { job, resolve, reject })
        // A message to a thread costs as much as a small job: those of one turn go together.
        if (queue.length === 0) setImmediate(flush)
        queue.push(job)
      })
    },
    async close() {
      closed = true
      for (const { reject } of waiting.values()) reject(new ChangeSignerError())
      waiting.clear()
      await worker.terminate()
    },
  }
}

const post = (worker: Worker, message: ToSigner): void => worker.postMessage(message)
