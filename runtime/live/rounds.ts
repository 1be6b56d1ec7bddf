import type { Address } from 'viem'
import type { Agent } from '../core/agent.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { type AgentId, type IntentId, runId } from '../core/ids.ts'
import type { IntentRecord } from '../core/journal.ts'
import type { BlockRef } from '../core/snapshot.ts'
import { decide, execute, settle } from '../pipeline.ts'
import { UnknownAgentError } from '../stages/errors.ts'
import { actorOf, sendersOf } from '../stages/owner.ts'
import type { Runtime } from '../stages/runtime.ts'
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

/** Has jobs of one kind done by whichever process takes them, this one included. */
export type Lane<Data, Result> = {
  /**
   * Hands in a job, unless there is one of that id, and waits for its end.
   *
   * @param deadline milliseconds from now in which it must have ended
   * @throws {JobFailedError} when the job failed for good.
   * @throws {QueueLostError} when nobody knows whether it was done, or will be.
   */
  run(id: string, data: Data, deadline: number): Promise<Result>
}

/** What a lane is for. */
export type LaneOptions<Data, Result> = {
  readonly name: string
  /** How many of its jobs a process does at a time. */
  readonly concurrency: number
  /** One job at a time, however many processes share the work. */
  readonly isSerial: boolean
  /** Does a job. One whose error is `retryable` may be tried again, {@link ATTEMPTS} times in all. */
  work(id: string, data: Data): Promise<Result>
}

export type RoundsOptions = {
  readonly runtime: Runtime
  readonly agents: readonly Agent[]
  /** How jobs reach their workers. Called once for every lane, before anything is run. */
  openLane<Data, Result>(options: LaneOptions<Data, Result>): Lane<Data, Result>
  /** Resolves after some milliseconds. */
  sleep(milliseconds: number): Promise<void>
}

/** What a process does about every head, through lanes that it shares with others. */
export type Rounds = {
  /**
   * Takes up whatever journal, ledger and chain hold unfinished, from any state that a crash left. Call it once, before
   * the first head.
   *
   * @returns what was found and done, as lines for a person; none when there was nothing to do
   */
  recover(head: BlockRef): Promise<readonly string[]>
  /**
   * Gives agents the block and returns when all of them are through with it: first what is in flight is settled, then
   * what was left open is executed, then all decide, then what they want is executed. A job that fails is logged and in
   * the journal; it never stops the others. Where the queue is lost, this process does its work.
   *
   * Rejects when the journal cannot record anything any more: then nothing may be done either.
   *
   * @param asked the agents that are to decide. Default: all
   * @throws what the journal throws, unless it may pass and has not failed for too many heads in a row.
   */
  processHead(head: BlockRef, asked?: readonly Agent[]): Promise<void>
}

/** Tries of a job whose error says that it may pass, and the milliseconds between them. */
export const ATTEMPTS = 3
export const BACKOFF = 100

/** Milliseconds in which somebody must have done a job, or this process does it; a run has its time to think besides. */
const DEADLINE = 15_000

/** What the journal throws when it can record nothing more. */
const DISK_FULL = 'DISK_FULL'

/** Heads in a row for which the journal may fail by errors that may pass. */
const JOURNAL_FAILURES = 5

/**
 * The rounds of one process. Every job holds ids, the journal holds the truth, and a job that comes twice finds its work
 * done: so what a lane loses, or is too long about, the process does without it.
 *
 * @example
 * const rounds = createRounds({ runtime, agents, openLane, sleep })
 * await rounds.recover(head)
 * for await (const { head } of heads) await rounds.processHead(head)
 */
export function createRounds({ runtime, agents, openLane, sleep }: RoundsOptions): Rounds {
  const { journal, logger } = runtime
  const byId = new Map<AgentId, Agent>(agents.map((agent) => [agent.id, agent]))
  const turns = createTurns()
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

  /** A lane that always comes to an end: what a job gave, whoever did it; null when it failed, which is logged, once. */
  function openSafely<Data, Result>(options: LaneOptions<Data, Result>) {
    const work = (id: string, data: Data) => options.work(id, data).catch(remember)
    const lane = openLane({ ...options, work })
    const failed = (job: string, error: unknown): null => {
      logger.error({ queue: options.name, job, error: describeError(error) }, 'job failed')
      return null
    }
    return async (id: string, data: Data, deadline: number): Promise<Result | null> => {
      try {
        return await lane.run(id, data, deadline)
      } catch (error) {
        if (!(error instanceof QueueLostError)) return failed(id, error)
        logger.error({ error: error.toLine() }, 'queue lost: done without it')
      }
      return retried(() => work(id, data)).catch((error) => failed(id, error))
    }
  }

  /** A queue's rule for trying again, without the queue. */
  async function retried<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await work()
      } catch (error) {
        if (!mayPass(error) || attempt === ATTEMPTS) throw error
        await sleep(BACKOFF)
      }
  }

  const decideOn = openSafely<RunJob, RunResult>({
    name: RUNS_QUEUE,
    concurrency: Math.max(1, agents.length),
    isSerial: false,
    work: (id, job) => turns.once(id, () => onRun(job)),
  })
  const accounts = new Map(
    [...new Set(agents.flatMap((agent) => sendersOf(runtime, agent)))].map((account: Address) => [
      account,
      openSafely<AccountJob, string>({
        name: accountQueue(account),
        concurrency: 1,
        isSerial: true,
        work: (id, job) => turns.once(id, () => turns.inTurn(account, () => onAccountJob(job))),
      }),
    ]),
  )

  async function executeNow(agent: Agent, intent: IntentId, head: BlockRef): Promise<void> {
    const job = { kind: 'execute', agent: agent.id, intent, block: toBlockJson(head) } as const
    await accounts.get(actorOf(runtime, agent))?.(executeJobId(intent, head.hash), job, DEADLINE)
  }

  async function settleAll(head: BlockRef): Promise<void> {
    await Promise.all(
      [...accounts].map(async ([account, run]) => {
        const job = { kind: 'settle', account, block: toBlockJson(head) } as const
        await run(settleJobId(account, head.hash), job, DEADLINE)
      }),
    )
  }

  async function runAgent(agent: Agent, head: BlockRef): Promise<void> {
    const id = runId(agent.id, head.hash)
    const deadline = runtime.analyseTimeout + DEADLINE
    const result = await decideOn(id, { agent: agent.id, block: toBlockJson(head) }, deadline)
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
    async processHead(head, asked = agents) {
      try {
        await settleAll(head)
        await executeOpen(head)
        journalFailures = 0
      } catch (error) {
        journalFailures += 1
        if (!mayPass(error) || journalFailures > JOURNAL_FAILURES) throw error
        logger.error({ error: describeError(error) }, 'the journal cannot say what is open')
      }
      await Promise.all(asked.map((agent) => runAgent(agent, head)))
      if (hopeless !== null) throw hopeless
    },
  }
}

/** Whether the same may go well when it is tried again. */
export const mayPass = (error: unknown): boolean => error instanceof RialtoError && error.retryable
