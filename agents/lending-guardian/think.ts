import type { AnalyseContext, Analysis } from '../../runtime/core/agent.ts'
import { describeError } from '../../runtime/core/errors.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { cleanReason } from './choice.ts'
import type { GuardianGraph } from './graph.ts'
import type { GuardianContext, Progress } from './state.ts'
import type { Thoughts } from './thoughts.ts'

/**
 * Runs the graph on a snapshot, or takes it up where it was interrupted, and always answers.
 *
 * When the run's time is over, or the store of checkpoints fails or hangs, the answer is made without the graph:
 * from the choice if there is one, else by the deterministic rule. Only a defect in the pure steps gets out, since
 * it strikes here again.
 */
export async function think(
  graph: GuardianGraph,
  thoughts: Thoughts,
  snapshot: Snapshot,
  { threadId, signal }: AnalyseContext,
): Promise<Analysis> {
  const progress: Progress = { inferenceCalls: 0, choice: null }
  const late = new Promise<'late'>((resolve) => {
    if (signal.aborted) resolve('late')
    else signal.addEventListener('abort', () => resolve('late'), { once: true })
  })
  const ran = run(graph, thoughts, threadId, { snapshot, signal, progress }).then(
    (analysis) => ({ analysis }),
    (error: unknown) => ({ error }),
  )
  const result = await Promise.race([ran, late])
  if (result !== 'late' && 'analysis' in result) return result.analysis

  const { scene, candidates } = thoughts.recall({}, snapshot)
  const failed = result === 'late' ? 'LATE' : 'GRAPH_FAILED'
  const choice = progress.choice ?? thoughts.byRule(scene, candidates, failed, progress.inferenceCalls)
  const analysis = thoughts.propose(scene, candidates, choice)
  if (result === 'late') return analysis
  const error = cleanReason(describeError(result.error))
  return { ...analysis, reason: `${analysis.reason} (The graph failed: ${error})` }
}

async function run(
  graph: GuardianGraph,
  thoughts: Thoughts,
  threadId: string,
  context: GuardianContext,
): Promise<Analysis> {
  const config = { configurable: { thread_id: threadId }, context, durability: 'sync' } as const
  const saved = graph.checkpointer ? await graph.getState(config) : undefined
  const isResumed = saved?.createdAt !== undefined
  if (isResumed && saved.next.length === 0) {
    // It had ended, and its run was delivered again: what was chosen holds.
    const { scene, candidates } = thoughts.recall({}, context.snapshot)
    return thoughts.propose(scene, candidates, saved.values.choice)
  }
  // Null makes a thread go on from its last checkpoint.
  const { analysis } = await graph.invoke(isResumed ? null : {}, config)
  return analysis
}
