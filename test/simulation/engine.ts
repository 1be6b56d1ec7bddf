import type { Address } from 'viem'
import type { Agent } from '../../runtime/core/agent.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import { type AgentId, type IntentId, runId } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { QueueLostError } from '../../runtime/live/errors.ts'
import { executeJobId, settleJobId } from '../../runtime/live/jobs.ts'
import { createTurns } from '../../runtime/live/turns.ts'
import { decide, execute, settle } from '../../runtime/pipeline.ts'
import { actorOf } from '../../runtime/stages/owner.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import type { Process } from './ports.ts'
import type { Queue } from './queue.ts'
import type { Scheduler } from './scheduler.ts'

type Job =
  | { readonly kind: 'run'; readonly agent: AgentId; readonly block: BlockRef }
  | { readonly kind: 'execute'; readonly agent: AgentId; readonly intent: IntentId; readonly block: BlockRef }
  | { readonly kind: 'settle'; readonly account: Address; readonly block: BlockRef }

const SECOND = 1_000
/** As in `startLive`: the time in which somebody must have done a job, tries of one, and failures of the journal. */
const DEADLINE = 15 * SECOND
const ATTEMPTS = 3
const BACKOFF = 100
const JOURNAL_FAILURES = 5
/** How often a process looks for a new head. */
const POLL = 2 * SECOND

export type EngineParameters = {
  readonly process: Process
  readonly runtime: Runtime
  readonly agents: readonly Agent[]
  readonly queue: Queue
  readonly scheduler: Scheduler
  /** Whether agents are asked on a block; settling goes on all the same. */
  readonly wakes: (agent: AgentId, block: BlockRef) => boolean
  /** Ends the process for a reason of its own. */
  readonly exit: (why: string) => void
}

/**
 * One process that runs agents, as `runtime/live/startLive.ts` has it, with the queue's twin for BullMQ: for every head
 * what is in flight is settled, what was left open is executed, then agents decide, and what they want is executed.
 * What the queue loses the process does itself.
 */
export function startEngine(parameters: EngineParameters): void {
  const { process, runtime, agents, queue, scheduler, wakes, exit } = parameters
  const { journal } = runtime
  const turns = createTurns()
  const accounts = [...new Set(agents.map((agent) => actorOf(runtime, agent)))]
  const agentOf = (id: AgentId) => agents.find((agent) => agent.id === id)

  const sleep = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const wake = () => {
        if (!process.isAlive) return
        if (process.stalledUntil > scheduler.now()) scheduler.at(process.stalledUntil, wake)
        else resolve()
      }
      scheduler.at(scheduler.now() + milliseconds, wake)
    })

  async function onJob(job: Job): Promise<unknown> {
    if (job.kind === 'settle') return settle(runtime, agents, job.account, job.block)
    const agent = agentOf(job.agent)
    if (agent === undefined) return null
    if (job.kind === 'execute') return execute(runtime, agent, job.intent, job.block)
    const run = await decide(runtime, agent, job.block)
    if (run.decision === null || run.decision.intent === 'nothing') return { intent: null }
    const open = (await journal.openIntents()).find((intent) => intent.runId === run.id)
    return { intent: open?.id ?? null }
  }

  const accountOf = (job: Job): Address | null => {
    if (job.kind === 'settle') return job.account
    const agent = job.kind === 'execute' ? agentOf(job.agent) : undefined
    return agent === undefined ? null : actorOf(runtime, agent)
  }
  const work = (id: string, job: Job): Promise<unknown> => {
    const account = accountOf(job)
    return turns.once(id, () => (account === null ? onJob(job) : turns.inTurn(account, () => onJob(job))))
  }
  queue.join({ process, work: (id, data) => work(id, data as Job) })

  async function run(id: string, job: Job, deadline = DEADLINE): Promise<unknown> {
    try {
      return await queue.run(process, id, job, deadline)
    } catch (error) {
      if (!(error instanceof QueueLostError)) return failed(id, error)
    }
    for (let attempt = 1; ; attempt++)
      try {
        return await work(id, job)
      } catch (error) {
        if (!mayPass(error) || attempt === ATTEMPTS) return failed(id, error)
        await sleep(BACKOFF)
      }
  }

  function failed(id: string, error: unknown): null {
    scheduler.note(`${process.name} failed ${id.slice(0, 30)}: ${describeError(error).slice(0, 120)}`)
    return null
  }

  const executeNow = (agent: AgentId, intent: IntentId, block: BlockRef) =>
    run(executeJobId(intent, block.hash), { kind: 'execute', agent, intent, block })

  async function settleAll(block: BlockRef): Promise<void> {
    await Promise.all(
      accounts.map((account) => run(settleJobId(account, block.hash), { kind: 'settle', account, block })),
    )
    for (const intent of await journal.openIntents()) await executeNow(intent.agent, intent.id, block)
  }

  async function runAgent({ id: agent }: Agent, block: BlockRef): Promise<void> {
    const id = runId(agent, block.hash)
    const result = await run(id, { kind: 'run', agent, block }, runtime.analyseTimeout + DEADLINE)
    if (result === null) await journal.failRun(id, 'the job failed').catch(() => undefined)
    else {
      const { intent } = result as { intent: IntentId | null }
      if (intent !== null) await executeNow(agent, intent, block)
    }
  }

  async function main(): Promise<void> {
    let last: string | null = null
    let failures = 0
    for (;;) {
      const head = await runtime.chain.head().catch((error: unknown) => {
        if (mayPass(error)) return null
        throw error
      })
      if (head !== null && head.hash !== last) {
        last = head.hash
        try {
          await settleAll(head)
          failures = 0
        } catch (error) {
          failures += 1
          if (!mayPass(error) || failures > JOURNAL_FAILURES) throw error
        }
        await Promise.all(agents.filter(({ id }) => wakes(id, head)).map((agent) => runAgent(agent, head)))
      }
      await sleep(POLL)
    }
  }
  main().catch((error: unknown) => exit(describeError(error)))
}

const mayPass = (error: unknown): boolean => error instanceof RialtoError && error.retryable
