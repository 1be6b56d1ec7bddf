import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, type Queue, QueueEvents } from 'bullmq'
import { describeError } from '../core/errors.ts'
import { JobFailedError, QueueLostError } from './errors.ts'

/** How long the queue's server may take to answer, in milliseconds: thousands of times what it does take. */
const PATIENCE = 2_000

/** Between two looks at a job that nobody has told of, in milliseconds. Its end is usually told at once. */
const LOOK_EVERY = 1_000

/** How long a queue that did not answer is not asked again, in milliseconds. */
const REST = 15_000

export type DispatchOptions = {
  readonly connection: ConnectionOptions
  readonly prefix: string
  readonly onError: (queue: string, error: Error) => void
}

/** Hands jobs to a queue and waits for their end. */
export type Dispatcher<Data, Result> = {
  /**
   * Adds the job, unless there is one of that id, and waits for its end.
   *
   * @param deadline milliseconds from now in which it must have ended
   * @throws {JobFailedError} when the job failed for good.
   * @throws {QueueLostError} when the queue does not answer, forgets the job, or the deadline passes. Whether the job
   * was done is not known then.
   */
  run(id: string, data: Data, deadline: number): Promise<Result>
  waitUntilReady(): Promise<unknown>
  /** Asks the queue's server for a word. */
  isLost(): Promise<boolean>
  /** Closes the queue and what listens to it; `lost`: without a word to a server that does not answer. */
  close(lost: boolean): Promise<void>
}

/**
 * A dispatcher for a queue.
 *
 * The server's events tell of a job's end, but an event is lost with the server that would have sent it, and a
 * server that hangs says nothing at all. So the job is looked at as well, each look within a time of its own.
 */
export function createDispatcher<Data, Result>(
  queue: Queue<Data, Result>,
  { connection, prefix, onError }: DispatchOptions,
): Dispatcher<Data, Result> {
  const events = new QueueEvents(queue.name, { connection, prefix })
  const waiting = new Map<string, Set<Ended<Result>>>()
  let restsUntil = 0
  const tell = (id: string, end: (ended: Ended<Result>) => void) => {
    for (const ended of waiting.get(id) ?? []) end(ended)
  }
  // The type says string; what arrives is what the worker returned.
  events.on('completed', ({ jobId, returnvalue }) =>
    tell(jobId, ({ resolve }) => resolve(returnvalue as unknown as Result)),
  )
  events.on('failed', ({ jobId, failedReason }) =>
    tell(jobId, ({ reject }) => reject(new JobFailedError(jobId, failedReason))),
  )
  events.on('error', (error) => onError(queue.name, error))
  queue.on('error', (error) => onError(queue.name, error))

  /** The queue's answer, in time. One that gives none, or an error, is left in peace for a while. */
  async function answer<T>(id: string, question: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const silence = new QueueLostError(queue.name, id, `it did not answer within ${PATIENCE} ms`)
      timer = setTimeout(() => reject(silence), PATIENCE)
    })
    try {
      return await Promise.race([question, late])
    } catch (error) {
      restsUntil = performance.now() + REST
      throw error instanceof QueueLostError ? error : new QueueLostError(queue.name, id, describeError(error))
    } finally {
      clearTimeout(timer)
    }
  }

  function lost(id: string, why: string): never {
    throw new QueueLostError(queue.name, id, why)
  }

  /** Adds the job and looks at it until it has ended, for as long as nobody else has told. */
  async function watch(id: string, data: Data, deadline: number, told: AbortSignal): Promise<Result> {
    const until = performance.now() + deadline
    await answer(id, queue.add(queue.name as never, data as never, { jobId: id }))
    while (!told.aborted) {
      const state = await answer(id, queue.getJobState(id))
      if (state === 'unknown') lost(id, 'it has forgotten the job')
      if (state === 'completed' || state === 'failed') {
        const job = (await answer(id, queue.getJob(id))) ?? lost(id, 'it has forgotten the job')
        if (state === 'failed') throw new JobFailedError(id, job.failedReason)
        return job.returnvalue as Result
      }
      if (performance.now() > until) lost(id, `the job did not end within ${deadline} ms`)
      await delay(LOOK_EVERY, undefined, { signal: told }).catch(() => undefined)
    }
    return lost(id, 'its end was told, and nobody needs this look any more')
  }

  return {
    async run(id, data, deadline) {
      if (performance.now() < restsUntil) lost(id, 'it did not answer a moment ago')
      const told = new AbortController()
      let ended: Ended<Result> | undefined
      const news = new Promise<Result>((resolve, reject) => {
        ended = { resolve, reject }
        waiting.set(id, (waiting.get(id) ?? new Set()).add(ended))
      })
      try {
        return await Promise.race([news, watch(id, data, deadline, told.signal)])
      } finally {
        told.abort()
        const others = waiting.get(id)
        if (ended !== undefined) others?.delete(ended)
        if (others?.size === 0) waiting.delete(id)
      }
    },
    waitUntilReady: () => events.waitUntilReady(),
    isLost: () =>
      answer('none', queue.getWaitingCount()).then(
        () => false,
        () => true,
      ),
    async close(lost) {
      const parts = [events, queue]
      if (!lost) await Promise.all(parts.map((part) => part.close()))
      // Both wait for an end that a dead connection never tells of; by then it is given up all the same.
      else for (const part of parts) void part.disconnect().catch((error) => onError(queue.name, error))
    },
  }
}

type Ended<Result> = { resolve(result: Result): void; reject(error: JobFailedError): void }
