import { type BaseCheckpointSaver, END, START, StateGraph } from '@langchain/langgraph'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { GuardianContext, GuardianUpdate } from './state.ts'
import { GuardianState, guardianContext } from './state.ts'
import type { Thoughts } from './thoughts.ts'

/**
 * The guardian's way of thinking: gather → enumerate → ask → propose.
 *
 * Where waiting is all that is feasible, or nobody is there to be asked, `ask` is left out. It is the only node
 * with an effect outside, so it is what a checkpoint saves from being done twice; the others are pure, and a run
 * that is resumed does them again.
 */
export function createGuardianGraph(thoughts: Thoughts, checkpointer?: BaseCheckpointSaver) {
  return new StateGraph(GuardianState, guardianContext)
    .addNode(
      'gather',
      (_, { context }): GuardianUpdate => ({ scene: thoughts.scene(given(context).snapshot) }),
    )
    .addNode('enumerate', (state, { context }): GuardianUpdate => {
      const { candidates } = thoughts.recall(state, given(context).snapshot)
      return { candidates }
    })
    .addNode('ask', async (state, { context }): Promise<GuardianUpdate> => {
      const { snapshot, signal, progress } = given(context)
      const { scene, candidates } = thoughts.recall(state, snapshot)
      return { choice: await thoughts.ask(scene, candidates, signal, progress) }
    })
    .addNode('propose', (state, { context }): GuardianUpdate => {
      const { scene, candidates } = thoughts.recall(state, given(context).snapshot)
      return { analysis: thoughts.propose(scene, candidates, state.choice) }
    })
    .addEdge(START, 'gather')
    .addEdge('gather', 'enumerate')
    .addConditionalEdges(
      'enumerate',
      ({ candidates }) => (thoughts.needsModel(candidates) ? 'ask' : 'propose'),
      ['ask', 'propose'],
    )
    .addEdge('ask', 'propose')
    .addEdge('propose', END)
    .compile({ ...(checkpointer && { checkpointer }), name: 'lending-guardian' })
}

export type GuardianGraph = ReturnType<typeof createGuardianGraph>

function given(context: GuardianContext | undefined): GuardianContext {
  if (context === undefined) throw new InvariantError('The graph was run without its context.')
  return context
}
