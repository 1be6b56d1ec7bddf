import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, Queue, UnrecoverableError, Worker } from 'bullmq'
import type { Agent } from '../core/agent.ts'
import { describeError } from '../core/errors.ts'
import type { Runtime } from '../stages/runtime.ts'
import { createDispatcher, type Dispatcher } from './dispatch.ts'
import {
  ATTEMPTS,
  BACKOFF,
  createRounds,
  type Lane,
  type LaneOptions,
  mayPass,
  type Rounds,
} from './rounds.ts'

export type LiveOptions = {
  readonly runtime: Runtime
  readonly agents: readonly Agent[]
  readonly connection: ConnectionOptions
  /** Keeps the queues of one world apart from those of another on the same server. */
  readonly prefix: string
}

/** A running engine: workers that wait for jobs, and a hand to give them a block's. */
export type Live = Rounds & { close(): Promise<void> }

const JOB_OPTIONS = {
  attempts: ATTEMPTS,
  backoff: { type: 'fixed', delay: BACKOFF },
  removeOnComplete: { count: 1_000 },
  removeOnFail: { count: 1_000 },
}

/** A worker that was killed in mid-job must not hold its account for long; what it did is in the journal. */
const WORKER_OPTIONS = { lockDuration: 15_000, stalledInterval: 5_000, maxStalledCount: ATTEMPTS }

/**
 * Starts the queues and workers of a set of agents: the rounds of {@link createRounds}, through BullMQ.
 *
 * The queue is a wake-up: every job holds ids, the journal holds the truth, and a job that comes twice finds its
 * work done. The run's job id derives from agent and block hash, so one block wakes an agent once.
 */
export async function startLive({ runtime, agents, connection, prefix }: LiveOptions): Promise<Live> {
  const { logger } = runtime
  const shared = { connection, prefix }
  const onError = (queue: string, error: Error) =>
    logger.error({ queue, error: describeError(error) }, 'queue error')
  const opened: BullLane[] = []

  /** A queue with its worker and a hand to give it jobs. */
  function openLane<Data, Result>(options: LaneOptions<Data, Result>): Lane<Data, Result> {
    const { name, concurrency, isSerial, work } = options
    const queue = new Queue<Data, Result>(name, { ...shared, defaultJobOptions: JOB_OPTIONS })
    const dispatcher: Dispatcher<Data, Result> = createDispatcher(queue as Queue, { ...shared, onError })
    const worker = new Worker<Data, Result>(name, (job) => classified(() => work(job.id ?? '', job.data)), {
      ...shared,
      ...WORKER_OPTIONS,
      concurrency,
    })
    worker.on('error', (error) => onError(name, error))
    opened.push({
      async ready() {
        if (isSerial) await queue.setGlobalConcurrency(1)
        await Promise.all([dispatcher.waitUntilReady(), worker.waitUntilReady()])
      },
      async close() {
        // A worker says goodbye to its server, and would wait for the answer for ever.
        const lost = await dispatcher.isLost()
        await worker.close(lost)
        await dispatcher.close(lost)
      },
    })
    return dispatcher
  }

  const rounds = createRounds({ runtime, agents, openLane, sleep: (milliseconds) => delay(milliseconds) })
  await Promise.all(opened.map((lane) => lane.ready()))
  return {
    ...rounds,
    async close() {
      await Promise.all(opened.map((lane) => lane.close()))
    },
  }
}

type BullLane = { ready(): Promise<void>; close(): Promise<void> }

/** What is retryable comes from the error: everything else must not be tried again. */
async function classified<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (mayPass(error)) throw error
    throw new UnrecoverableError(describeError(error))
  }
}
