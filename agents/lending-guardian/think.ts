import type { AnalyseContext, Analysis } from '../../runtime/core/agent.ts'
import { describeError } from '../../runtime/core/errors.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { cleanReason } from './choice.ts'
import type { GuardianGraph } from './graph.ts'
import { isOverheard, silenceTracing } from './privacy.ts'
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
  const ended = await Promise.race([
    late(signal),
    attempt(() => run(graph, thoughts, threadId, { snapshot, signal, progress })),
  ])
  if ('analysis' in ended) return ended.analysis

  const { scene, candidates } = thoughts.recall({}, snapshot)
  const choice = progress.choice ?? thoughts.byRule(scene, candidates, ended.failure, progress.inferenceCalls)
  const analysis = thoughts.propose(scene, candidates, choice)
  if (!('error' in ended)) return analysis
  const error = cleanReason(describeError(ended.error))
  return { ...analysis, reason: `${analysis.reason} (The graph failed: ${error})` }
}

type Ended =
  | { readonly analysis: Analysis }
  | { readonly failure: 'LATE' | 'OVERHEARD' }
  | { readonly failure: 'GRAPH_FAILED'; readonly error: unknown }

async function attempt(run: () => Promise<Analysis>): Promise<Ended> {
  // A tracer would hear the graph as well as the model.
  silenceTracing()
  if (isOverheard()) return { failure: 'OVERHEARD' }
  try {
    return { analysis: await run() }
  } catch (error) {
    return { failure: 'GRAPH_FAILED', error }
  }
}

const late = (signal: AbortSignal): Promise<Ended> =>
  new Promise((resolve) => {
    const end = () => resolve({ failure: 'LATE' })
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })

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
