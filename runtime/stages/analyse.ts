import type { Agent, Analysis } from '../core/agent.ts'
import type { RunId } from '../core/ids.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { AnalysisOverdueError } from './errors.ts'
import type { Runtime } from './runtime.ts'

/** Milliseconds that an agent whose time is over has to answer by its rule, which takes a fraction of one. */
const GRACE = 5_000

/**
 * Lets the agent think, for as long as it may. An agent whose time is over still answers, by its rule: that is
 * a must of the `Agent` port, and so protection does not depend on inference. One that breaks it fails its run, and
 * holds up neither the next block nor the other agents.
 *
 * @throws {AnalysisOverdueError}
 */
export async function analyse(
  runtime: Runtime,
  agent: Agent,
  snapshot: Snapshot,
  runId: RunId,
): Promise<Analysis> {
  const { analyseTimeout } = runtime
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AnalysisOverdueError(agent.id)), analyseTimeout + GRACE)
  })
  const thought = agent.analyse(snapshot, {
    runId,
    threadId: `${runtime.journal.epoch}.${runId}`,
    signal: AbortSignal.timeout(analyseTimeout),
  })
  return Promise.race([thought, overdue]).finally(() => clearTimeout(timer))
}
