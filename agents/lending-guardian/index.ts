import type { Agent, Analysis } from '../../runtime/core/agent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { formatWad } from '../../runtime/core/units.ts'
import { hasDebt } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { createGuardianGraph } from './graph.ts'
import { type GuardianSettings, type LendingGuardianOptions, settle } from './options.ts'
import { assertNotOverheard, silenceTracing } from './privacy.ts'
import { nothing } from './propose.ts'
import { gather } from './scene.ts'
import { think } from './think.ts'
import { createThoughts, requirePosition } from './thoughts.ts'
import { raiseAlarm } from './trigger.ts'

export type { LendingGuardianOptions } from './options.ts'

/**
 * The agent that keeps a leveraged Aave position from being liquidated.
 *
 * In every block a cheap rule looks whether the position calls for thought. When it does, the graph enumerates
 * what can be done, asks the model to choose, and proposes. Whatever the model does, and whether there is one or
 * not, an answer comes: then from the deterministic rule, and the record says so.
 *
 * @throws {InvalidInputError} when the options contradict one another.
 * @throws {OverheardError} when the model has callbacks, a tracer or verbose mode attached.
 * @example
 * const guardian = createLendingGuardian({
 *   id: agentId('lending-guardian'), account, assets: [weth, usdc], pools: [wethUsdc], wrappedNative: weth,
 *   thresholds: { floor, trigger, target }, model: { chat: model, name }, checkpointer })
 * const analysis = await guardian.analyse(snapshot, { runId, threadId, signal })
 */
export function createLendingGuardian(options: LendingGuardianOptions): Agent {
  silenceTracing()
  assertNotOverheard(options.model?.chat)
  const settings = settle(options)
  const thoughts = createThoughts(settings)
  const graph = createGuardianGraph(thoughts, options.checkpointer)
  const { id, account, assets, pools, wrappedNative } = settings
  return {
    id,
    account,
    watch: () => ({ positions: [account], assets: [...new Set([...assets, wrappedNative])], pools }),
    analyse: async (snapshot, context) =>
      withoutThought(snapshot, settings) ?? think(graph, thoughts, snapshot, context),
  }
}

/** What needs no thought: a position that is in no danger, or one that nothing can be decided about. */
function withoutThought(snapshot: Snapshot, settings: GuardianSettings): Analysis | null {
  const position = requirePosition(snapshot, settings)
  const rest = (source: 'quiet' | 'rule', reason: string): Analysis => ({
    proposal: nothing(snapshot, settings),
    reason,
    source,
    fallbackReason: null,
    candidates: 0,
    inferenceCalls: 0,
    model: null,
  })
  if (!hasDebt(position)) return rest('quiet', 'There is no debt.')
  const scene = gather(snapshot, position, settings)
  if ('obstacle' in scene) return rest('rule', `Nothing is done: ${scene.obstacle}.`)
  const { thresholds, horizonBlocks } = settings
  if (raiseAlarm({ ...scene, thresholds, horizonBlocks }) !== null) return null
  return rest('quiet', `All is well at a health factor of ${formatWad(scene.healthFactor).slice(0, 6)}.`)
}
