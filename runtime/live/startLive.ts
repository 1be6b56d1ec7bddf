import { type ConnectionOptions, Queue, QueueEvents, UnrecoverableError, Worker } from 'bullmq'
import type { Address } from 'viem'
import type { Agent } from '../core/agent.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { type AgentId, runId } from '../core/ids.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { decide, execute, settle } from '../pipeline.ts'
import { UnknownAgentError } from '../stages/errors.ts'
import type { Runtime } from '../stages/runtime.ts'
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

export type LiveOptions = {
  readonly runtime: Runtime
  readonly agents: readonly Agent[]
  readonly connection: ConnectionOptions
  /** Keeps the queues of one world apart from those of another on the same server. */
  readonly prefix: string
}

/** What was found and done when the runtime took up work that an earlier process left. */
export type Recovery = { readonly inFlight: number; readonly openIntents: number }

/** A running engine: workers that wait for jobs, and a hand to give them a block's. */
export type Live = {
  /** Takes up whatever the journal holds unfinished. Call it once, before the first head. */
  recover(head: BlockRef): Promise<Recovery>
  /**
   * Gives every agent the block and returns when all of them are through with it: first what is in flight is
   * settled, then what was left open is executed, then all decide, then what they want is executed. A job that fails
   * is logged and in the journal; it never stops the others.
   */
  processHead(head: BlockRef): Promise<void>
  close(): Promise<void>
}

/** Tries of a job whose error says that it may pass. */
const ATTEMPTS = 3
const JOB_OPTIONS = {
  attempts: ATTEMPTS,
  backoff: { type: 'fixed', delay: 100 },
  removeOnComplete: { count: 1_000 },
  removeOnFail: { count: 1_000 },
}

/**
 * Starts the queues and workers of a set of agents.
 *
 * The queue is a wake-up: every job holds ids, the journal holds the truth, and a job that comes twice finds its
 * work done. The run's job id derives from agent and block hash, so one block wakes an agent once.
 */
export async function startLive({ runtime, agents, connection, prefix }: LiveOptions): Promise<Live> {
  const byId = new Map<AgentId, Agent>(agents.map((agent) => [agent.id, agent]))
  const accounts = [...new Set(agents.map((agent) => agent.account))]
  const shared = { connection, prefix }

  const runs = new Queue<RunJob, RunResult>(RUNS_QUEUE, { ...shared, defaultJobOptions: JOB_OPTIONS })
  const accountQueues = new Map(
    accounts.map((account) => [
      account,
      new Queue<AccountJob, string>(accountQueue(account), { ...shared, defaultJobOptions: JOB_OPTIONS }),
    ]),
  )
  const queues: readonly Queue[] = [runs, ...accountQueues.values()]
  const events = new Map(queues.map((queue) => [queue.name, new QueueEvents(queue.name, shared)]))

  const agentOf = (id: AgentId): Agent => {
    const agent = byId.get(id)
    if (agent === undefined) throw new UnknownAgentError(id)
    return agent
  }
  const queueOf = (account: Address): Queue<AccountJob, string> => {
    const queue = accountQueues.get(account)
    if (queue === undefined) throw new UnknownAgentError(account as string as AgentId)
    return queue
  }

  async function enqueueExecute(agent: Agent, intent: string, block: BlockRef): Promise<string> {
    const id = intent as Parameters<typeof executeJobId>[0]
    const jobId = executeJobId(id, block.hash)
    await queueOf(agent.account).add(
      'execute',
      { kind: 'execute', agent: agent.id, intent: id, block: toBlockJson(block) },
      { jobId },
    )
    return jobId
  }

  async function onRun(job: RunJob): Promise<RunResult> {
    const agent = agentOf(job.agent)
    const block = fromBlockJson(job.block)
    const run = await decide(runtime, agent, block)
    if (run.decision === null || run.decision.intent === 'nothing') return { executeJob: null }
    const open = (await runtime.journal.openIntents()).find((intent) => intent.runId === run.id)
    return { executeJob: open === undefined ? null : await enqueueExecute(agent, open.id, block) }
  }

  async function onAccountJob(job: AccountJob): Promise<string> {
    const block = fromBlockJson(job.block)
    if (job.kind === 'execute') return execute(runtime, agentOf(job.agent), job.intent, block)
    const attempts = await runtime.journal.inFlight(job.account)
    for (const attempt of attempts) await settle(runtime, await ownerOf(attempt), attempt, block)
    return `${attempts.length} in flight`
  }

  async function ownerOf(attempt: AttemptRecord): Promise<Agent> {
    const intent = await runtime.journal.intent(attempt.intentId)
    return agentOf((intent?.agent ?? attempt.intentId) as AgentId)
  }

  const workers: readonly Worker[] = [
    new Worker<RunJob, RunResult>(RUNS_QUEUE, (job) => classified(() => onRun(job.data)), {
      ...shared,
      concurrency: Math.max(1, agents.length),
    }),
    ...[...accountQueues.values()].map(
      (queue) =>
        new Worker<AccountJob, string>(queue.name, (job) => classified(() => onAccountJob(job.data)), {
          ...shared,
          concurrency: 1,
        }),
    ),
  ]
  const onError = (queue: string) => (error: Error) =>
    runtime.logger.error({ queue, error: describeError(error) }, 'queue error')
  for (const queue of queues) queue.on('error', onError(queue.name))
  for (const worker of workers) worker.on('error', onError(worker.name))
  for (const [name, queueEvents] of events) queueEvents.on('error', onError(name))
  // One execution at a time per account, however many processes share the work.
  await Promise.all([...accountQueues.values()].map((queue) => queue.setGlobalConcurrency(1)))
  await Promise.all([...events.values(), ...workers].map((part) => part.waitUntilReady()))

  /** Waits for a job to end. Null when it failed for good: the failure is logged here, once. */
  async function finished<T>(queue: Queue, jobId: string): Promise<T | null> {
    const job = await queue.getJob(jobId)
    const queueEvents = events.get(queue.name)
    if (job === undefined || queueEvents === undefined) return null
    try {
      return (await job.waitUntilFinished(queueEvents)) as T
    } catch (error) {
      runtime.logger.error({ queue: queue.name, job: jobId, error: describeError(error) }, 'job failed')
      return null
    }
  }

  async function settleAll(head: BlockRef): Promise<number> {
    const attempts = await runtime.journal.inFlight()
    const waiting = accounts.filter((account) =>
      attempts.some((attempt) => attempt.account.toLowerCase() === account.toLowerCase()),
    )
    await Promise.all(
      waiting.map(async (account) => {
        const queue = queueOf(account)
        const jobId = settleJobId(account, head.hash)
        await queue.add('settle', { kind: 'settle', account, block: toBlockJson(head) }, { jobId })
        await finished(queue, jobId)
      }),
    )
    return attempts.length
  }

  async function runAgent(agent: Agent, head: BlockRef): Promise<void> {
    const jobId = runId(agent.id, head.hash)
    await runs.add('run', { agent: agent.id, block: toBlockJson(head) }, { jobId })
    const result = await finished<RunResult>(runs, jobId)
    if (result === null) await runtime.journal.failRun(jobId, 'the job failed: see the log')
    else if (result.executeJob !== null) await finished(queueOf(agent.account), result.executeJob)
  }

  /** Intents that were decided but not carried out: a job that failed, or a process that was killed. */
  async function executeOpen(head: BlockRef): Promise<number> {
    const open = await runtime.journal.openIntents()
    for (const intent of open) {
      const agent = agentOf(intent.agent)
      await finished(queueOf(agent.account), await enqueueExecute(agent, intent.id, head))
    }
    return open.length
  }

  return {
    async recover(head) {
      const openIntents = await executeOpen(head)
      return { inFlight: await settleAll(head), openIntents }
    },
    async processHead(head) {
      await settleAll(head)
      await executeOpen(head)
      await Promise.all(agents.map((agent) => runAgent(agent, head)))
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()))
      await Promise.all([...events.values(), ...queues].map((part) => part.close()))
    },
  }
}

/** What is retryable comes from the error: everything else must not be tried again. */
async function classified<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RialtoError && error.retryable) throw error
    throw new UnrecoverableError(describeError(error))
  }
}
