import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, Queue, UnrecoverableError, Worker } from 'bullmq'
import type { Agent } from '../core/agent.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { type AgentId, type IntentId, runId } from '../core/ids.ts'
import type { IntentRecord } from '../core/journal.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { decide, execute, settle } from '../pipeline.ts'
import { UnknownAgentError } from '../stages/errors.ts'
import { actorOf } from '../stages/owner.ts'
import type { Runtime } from '../stages/runtime.ts'
import { createDispatcher, type Dispatcher } from './dispatch.ts'
import { QueueLostError } from './errors.ts'
import {
  type AccountJob,
  accountQueue,
  executeJobId,
  fromBlockJson,
  RUNS_QUEUE,
  type RunJob,
  type RunResult,
  settleJobId,
  toBlockJson,
} from './jobs.ts'
import { describeRecovery, recordsOf } from './recovery.ts'
import { createTurns } from './turns.ts'

export type LiveOptions = {
  readonly runtime: Runtime
  readonly agents: readonly Agent[]
  readonly connection: ConnectionOptions
  /** Keeps the queues of one world apart from those of another on the same server. */
  readonly prefix: string
}

/** A running engine: workers that wait for jobs, and a hand to give them a block's. */
export type Live = {
  /**
   * Takes up whatever journal, ledger and chain hold unfinished, from any state that a crash left. Call it once, before
   * the first head.
   *
   * @returns what was found and done, as lines for a person; none when there was nothing to do
   */
  recover(head: BlockRef): Promise<readonly string[]>
  /**
   * Gives every agent the block and returns when all of them are through with it: first what is in flight is
   * settled, then what was left open is executed, then all decide, then what they want is executed. A job that fails
   * is logged and in the journal; it never stops the others. Where the queue is lost, this process does its work.
   *
   * Rejects when the journal cannot record anything any more: then nothing may be done either.
   *
   * @throws what the journal throws, unless it may pass and has not failed for too many heads in a row.
   */
  processHead(head: BlockRef): Promise<void>
  close(): Promise<void>
}

/** Tries of a job whose error says that it may pass, and the milliseconds between them. */
const ATTEMPTS = 3
const BACKOFF = 100
const JOB_OPTIONS = {
  attempts: ATTEMPTS,
  backoff: { type: 'fixed', delay: BACKOFF },
  removeOnComplete: { count: 1_000 },
  removeOnFail: { count: 1_000 },
}

/** A worker that was killed in mid-job must not hold its account for long; what it did is in the journal. */
const WORKER_OPTIONS = { lockDuration: 15_000, stalledInterval: 5_000, maxStalledCount: ATTEMPTS }

/** Milliseconds in which somebody must have done a job, or this process does it; a run has its time to think besides. */
const DEADLINE = 15_000

/** What the journal throws when it can record nothing more. */
const DISK_FULL = 'DISK_FULL'

/** Heads in a row for which the journal may fail by errors that may pass. */
const JOURNAL_FAILURES = 5

/**
 * Starts the queues and workers of a set of agents.
 *
 * The queue is a wake-up: every job holds ids, the journal holds the truth, and a job that comes twice finds its
 * work done. So what the queue loses, or is too long about, this process does without it. The run's job id derives
 * from agent and block hash, so one block wakes an agent once.
 */
export async function startLive({ runtime, agents, connection, prefix }: LiveOptions): Promise<Live> {
  const { journal, logger } = runtime
  const byId = new Map<AgentId, Agent>(agents.map((agent) => [agent.id, agent]))
  const shared = { connection, prefix }
  const turns = createTurns()
  const onError = (queue: string, error: Error) =>
    logger.error({ queue, error: describeError(error) }, 'queue error')
  /** An error that makes all further work pointless: nothing can be recorded, so nothing may be done. */
  let hopeless: unknown = null
  const remember = (error: unknown): never => {
    if (error instanceof RialtoError && error.code === DISK_FULL) hopeless ??= error
    throw error
  }

  const agentOf = (id: AgentId): Agent => {
    const agent = byId.get(id)
    if (agent === undefined) throw new UnknownAgentError(id)
    return agent
  }

  async function onRun(job: RunJob): Promise<RunResult> {
    const run = await decide(runtime, agentOf(job.agent), fromBlockJson(job.block))
    if (run.decision === null || run.decision.intent === 'nothing') return { intent: null }
    const open = (await journal.openIntents()).find((intent) => intent.runId === run.id)
    return { intent: open?.id ?? null }
  }

  async function onAccountJob(job: AccountJob): Promise<string> {
    const block = fromBlockJson(job.block)
    if (job.kind === 'execute') return execute(runtime, agentOf(job.agent), job.intent, block)
    await settle(runtime, agents, job.account, block)
    return 'followed'
  }

  /** A queue with its worker and a hand to give it jobs. */
  function lane<Data, Result>(
    name: string,
    concurrency: number,
    task: (id: string, data: Data) => Promise<Result>,
  ): Lane<Data, Result> {
    const work = (id: string, data: Data) => task(id, data).catch(remember)
    const queue = new Queue<Data, Result>(name, { ...shared, defaultJobOptions: JOB_OPTIONS })
    const dispatcher: Dispatcher<Data, Result> = createDispatcher(queue as Queue, { ...shared, onError })
    const worker = new Worker<Data, Result>(name, (job) => classified(() => work(job.id ?? '', job.data)), {
      ...shared,
      ...WORKER_OPTIONS,
      concurrency,
    })
    worker.on('error', (error) => onError(name, error))
    return {
      async run(id, data, deadline) {
        try {
          return await dispatcher.run(id, data, deadline)
        } catch (error) {
          if (!(error instanceof QueueLostError)) return failed(name, id, error)
          logger.error({ error: error.toLine() }, 'queue lost: done without it')
        }
        return retried(() => work(id, data)).catch((error) => failed(name, id, error))
      },
      async ready(serial) {
        // One execution at a time per account, however many processes share the work.
        if (serial) await queue.setGlobalConcurrency(1)
        await Promise.all([dispatcher.waitUntilReady(), worker.waitUntilReady()])
      },
      async close() {
        // A worker says goodbye to its server, and would wait for the answer for ever.
        const lost = await dispatcher.isLost()
        await worker.close(lost)
        await dispatcher.close(lost)
      },
    }
  }

  function failed(queue: string, job: string, error: unknown): null {
    logger.error({ queue, job, error: describeError(error) }, 'job failed')
    return null
  }

  const runs = lane<RunJob, RunResult>(RUNS_QUEUE, Math.max(1, agents.length), (id, job) =>
    turns.once(id, () => onRun(job)),
  )
  const accounts = new Map(
    [...new Set(agents.map((agent) => actorOf(runtime, agent)))].map((account) => [
      account,
      lane<AccountJob, string>(accountQueue(account), 1, (id, job) =>
        turns.once(id, () => turns.inTurn(account, () => onAccountJob(job))),
      ),
    ]),
  )
  const lanes: readonly Pick<Lane<unknown, unknown>, 'close'>[] = [runs, ...accounts.values()]
  await Promise.all([runs.ready(false), ...[...accounts.values()].map((account) => account.ready(true))])

  async function executeNow(agent: Agent, intent: IntentId, head: BlockRef): Promise<void> {
    const job = { kind: 'execute', agent: agent.id, intent, block: toBlockJson(head) } as const
    await accounts.get(actorOf(runtime, agent))?.run(executeJobId(intent, head.hash), job, DEADLINE)
  }

  async function settleAll(head: BlockRef): Promise<void> {
    await Promise.all(
      [...accounts].map(async ([account, queue]) => {
        const job = { kind: 'settle', account, block: toBlockJson(head) } as const
        await queue.run(settleJobId(account, head.hash), job, DEADLINE)
      }),
    )
  }

  async function runAgent(agent: Agent, head: BlockRef): Promise<void> {
    const id = runId(agent.id, head.hash)
    const deadline = runtime.analyseTimeout + DEADLINE
    const result = await runs.run(id, { agent: agent.id, block: toBlockJson(head) }, deadline)
    if (result === null) await recordFailure(id)
    else if (result.intent !== null) await executeNow(agent, result.intent, head)
  }

  /** The log has the error already. A run that failed before it was recorded has no record to write it in. */
  async function recordFailure(run: ReturnType<typeof runId>): Promise<void> {
    await journal.failRun(run, 'the job failed: see the log').catch((error) => {
      logger.warn({ run, error: describeError(error) }, 'failure not recorded')
    })
  }

  /** Intents that were decided but not carried out: a job that failed, or a process that was killed. */
  async function executeOpen(head: BlockRef): Promise<void> {
    const open = await journal.openIntents()
    for (const intent of open) {
      const agent = byId.get(intent.agent)
      if (agent === undefined) await passOver(intent, head)
      else await executeNow(agent, intent.id, head)
    }
  }

  /** What an agent wanted that is no longer configured is left to expire. */
  async function passOver({ id, agent, action }: IntentRecord, head: BlockRef): Promise<void> {
    if (head.number < action.expiresAtBlock) return
    logger.warn({ intent: id, agent }, 'expired: its agent is not configured any more')
    await journal.expireIntent(id)
  }

  let journalFailures = 0
  return {
    async recover(head) {
      const before = await recordsOf(journal)
      await settleAll(head)
      await executeOpen(head)
      return describeRecovery(before, await recordsOf(journal))
    },
    async processHead(head) {
      try {
        await settleAll(head)
        await executeOpen(head)
        journalFailures = 0
      } catch (error) {
        journalFailures += 1
        if (!mayPass(error) || journalFailures > JOURNAL_FAILURES) throw error
        logger.error({ error: describeError(error) }, 'the journal cannot say what is open')
      }
      await Promise.all(agents.map((agent) => runAgent(agent, head)))
      if (hopeless !== null) throw hopeless
    },
    async close() {
      await Promise.all(lanes.map((queue) => queue.close()))
    },
  }
}

type Lane<Data, Result> = {
  /** What the job gave, whoever did it; null when it failed for good: the failure is logged then, once. */
  run(id: string, data: Data, deadline: number): Promise<Result | null>
  ready(serial: boolean): Promise<void>
  close(): Promise<void>
}

const mayPass = (error: unknown): boolean => error instanceof RialtoError && error.retryable

/** What is retryable comes from the error: everything else must not be tried again. */
async function classified<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (mayPass(error)) throw error
    throw new UnrecoverableError(describeError(error))
  }
}

/** The queue's rule for trying again, without the queue. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await work()
    } catch (error) {
      if (!mayPass(error) || attempt === ATTEMPTS) throw error
      await delay(BACKOFF)
    }
}
