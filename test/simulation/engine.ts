import type { Agent } from '../../runtime/core/agent.ts'
import { describeError } from '../../runtime/core/errors.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { createRounds } from '../../runtime/live/rounds.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import { followHeads, sleepOf } from './heads.ts'
import type { Process } from './ports.ts'
import type { Queue } from './queue.ts'
import type { Scheduler } from './scheduler.ts'

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

/** One process that runs agents: the rounds of `startLive`, with the queue's twin for BullMQ. */
export function startEngine(parameters: EngineParameters): void {
  const { process, runtime, agents, queue, scheduler, wakes, exit } = parameters
  const rounds = createRounds({
    runtime,
    agents,
    openLane: (options) => queue.openLane(process, options),
    sleep: sleepOf(process, scheduler),
  })
  let isFirst = true
  followHeads(process, scheduler, runtime.chain, async (head) => {
    if (isFirst) await rounds.recover(head)
    isFirst = false
    await rounds.processHead(
      head,
      agents.filter(({ id }) => wakes(id, head)),
    )
  }).catch((error: unknown) => exit(describeError(error)))
}
