import { describeError } from '../../runtime/core/errors.ts'
import { JobFailedError, QueueLostError } from '../../runtime/live/errors.ts'
import { ATTEMPTS, BACKOFF, type Lane, type LaneOptions, mayPass } from '../../runtime/live/rounds.ts'
import type { FaultPlan } from './faults.ts'
import type { Process } from './ports.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** Redis with BullMQ on it, as far as its musts go: at least once, some time, unless it forgets. */
export type Queue = {
  /** Has a process work on the jobs of a name and hand some in: one worker of many. */
  openLane<Data, Result>(process: Process, options: LaneOptions<Data, Result>): Lane<Data, Result>
  /** Forgets every job. */
  wipe(): void
}

type Worker = {
  readonly process: Process
  readonly lane: string
  work(id: string, data: unknown): Promise<unknown>
}
type Ended = { readonly value: unknown } | { readonly error: unknown }
type Job = {
  readonly id: string
  readonly lane: string
  readonly data: unknown
  ended: Ended | null
  isForgotten: boolean
  readonly listeners: ((ended: Ended) => void)[]
}

const SECOND = 1_000
/** How long a job of a dead worker is locked, with the check that finds it. */
const STALLED = 20 * SECOND

export function createQueue(scheduler: Scheduler, faults: FaultPlan, random: Random): Queue {
  const workers: Worker[] = []
  let jobs = new Map<string, Job>()

  function end(job: Job, ended: Ended): void {
    if (job.ended !== null) return
    job.ended = ended
    for (const listener of job.listeners) listener(ended)
  }

  function deliver(job: Job, delay: number, attempt = 1): void {
    scheduler.at(scheduler.now() + delay, () => {
      if (job.isForgotten || (job.ended !== null && attempt > 1)) return
      const alive = workers.filter(
        ({ process, lane }) =>
          lane === job.lane && process.isAlive && process.stalledUntil <= scheduler.now(),
      )
      if (alive.length === 0) return deliver(job, SECOND, attempt)
      const worker = random.pick(alive)
      worker.work(job.id, job.data).then(
        (value) => end(job, { value }),
        (error: unknown) => {
          if (mayPass(error) && attempt < ATTEMPTS) deliver(job, BACKOFF, attempt + 1)
          else end(job, { error: new JobFailedError(job.id, describeError(error)) })
        },
      )
      scheduler.at(scheduler.now() + STALLED, () => {
        if (job.ended === null && !worker.process.isAlive) deliver(job, 0, attempt)
      })
    })
  }

  function take(lane: string, id: string, data: unknown): Job {
    const known = jobs.get(id)
    if (known !== undefined) return known
    const job: Job = { id, lane, data, ended: null, isForgotten: false, listeners: [] }
    jobs.set(id, job)
    const latency = random.between(1, 20)
    deliver(job, faults.strikes('job late') ? random.between(1, 80) * SECOND : latency)
    if (faults.strikes('job twice')) deliver(job, random.between(0, 60) * SECOND)
    return job
  }

  function run(
    process: Process,
    lane: string,
    id: string,
    data: unknown,
    deadline: number,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!process.isAlive) return
      const tell = (ended: Ended) =>
        scheduler.at(Math.max(scheduler.now() + random.between(1, 5), process.stalledUntil), () => {
          if (!process.isAlive) return
          if ('error' in ended) reject(ended.error)
          else resolve(ended.value)
        })
      scheduler.at(scheduler.now() + deadline, () =>
        tell({ error: new QueueLostError(lane, id, `the job did not end within ${deadline} ms`) }),
      )
      if (faults.strikes('job lost')) return
      const job = take(lane, id, data)
      if (job.ended === null) job.listeners.push(tell)
      else tell(job.ended)
    })
  }

  return {
    openLane<Data, Result>(process: Process, { name, work }: LaneOptions<Data, Result>) {
      workers.push({ process, lane: name, work: (id, data) => work(id, data as Data) })
      return {
        run: (id, data, deadline) => run(process, name, id, data, deadline) as Promise<Result>,
      }
    },
    wipe() {
      for (const job of jobs.values()) job.isForgotten = true
      jobs = new Map()
    },
  }
}
