import type { Agent, Analysis } from '../core/agent.ts'
import type { RunId } from '../core/ids.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { Runtime } from './runtime.ts'

/**
 * Lets the agent think, for as long as it may. An agent whose time is over still answers, by its rule: that is
 * a must of the `Agent` port, and so protection does not depend on inference.
 */
export async function analyse(
  runtime: Runtime,
  agent: Agent,
  snapshot: Snapshot,
  runId: RunId,
): Promise<Analysis> {
  return agent.analyse(snapshot, {
    runId,
    threadId: `${runtime.journal.epoch}.${runId}`,
    signal: AbortSignal.timeout(runtime.analyseTimeout),
  })
}
