import { StateSchema, UntrackedValue } from '@langchain/langgraph'
import { z } from 'zod'
import type { Analysis } from '../../runtime/core/agent.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import type { FeasibleCandidate } from './candidates.ts'
import type { Choice } from './choice.ts'
import type { Scene } from './scene.ts'

/**
 * What flows through the graph.
 *
 * Only `choice` is ever written to the checkpointer. The rest follows from the snapshot by pure code, so it is
 * computed again rather than stored; and a prompt or a completion is in no channel at all: they live and die
 * within the node `ask`.
 */
export const GuardianState = new StateSchema({
  scene: new UntrackedValue<Scene>(),
  candidates: new UntrackedValue<readonly FeasibleCandidate[]>(),
  choice: z.custom<Choice>().nullable().default(null),
  analysis: new UntrackedValue<Analysis>(),
})

export type GuardianStateValue = typeof GuardianState.State
export type GuardianUpdate = typeof GuardianState.Update

/** How far a run got, for whoever has to answer when the graph cannot. */
export type Progress = {
  /** Calls made to the model so far. */
  inferenceCalls: number
  choice: Choice | null
}

/** What a run hands to the nodes. It is never stored. */
export const guardianContext = z.object({
  snapshot: z.custom<Snapshot>(),
  signal: z.custom<AbortSignal>(),
  progress: z.custom<Progress>(),
})

export type GuardianContext = z.infer<typeof guardianContext>
