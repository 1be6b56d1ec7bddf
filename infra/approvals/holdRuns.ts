import {
  Annotation,
  type BaseCheckpointSaver,
  Command,
  END,
  interrupt,
  START,
  StateGraph,
} from '@langchain/langgraph'
import { silenceTracing } from '../../agents/lending-guardian/privacy.ts'
import { type ApprovalRecord, type ApprovalStatus, isWaiting } from '../../runtime/core/approvalRecords.ts'
import { describeError } from '../../runtime/core/errors.ts'
import type { Hash, IntentId } from '../../runtime/core/ids.ts'
import type { Journal, Logger } from '../../runtime/core/ports.ts'

/** What a held run waits for: hashes and times, and no word of anybody's. */
export type HeldFor = {
  readonly planHash: Hash
  readonly agent: string
  /** Seconds since 1970, as a decimal string. */
  readonly expiresAt: string
}

type Decision = Exclude<ApprovalStatus, 'pending'>

const State = Annotation.Root({ heldFor: Annotation<HeldFor>, decision: Annotation<Decision | null> })

/**
 * The part of a run that a person is in: request → decide → resume. `decide` interrupts, and the checkpointer keeps the
 * run there, over restarts, until the journal says what was decided.
 */
function createApprovalGraph(checkpointer: BaseCheckpointSaver) {
  return new StateGraph(State)
    .addNode('request', () => ({ decision: null }))
    .addNode('decide', ({ heldFor }) => ({
      decision: interrupt<HeldFor, { decision: Decision }>(heldFor).decision,
    }))
    .addNode('resume', ({ decision }) => ({ decision }))
    .addEdge(START, 'request')
    .addEdge('request', 'decide')
    .addEdge('decide', 'resume')
    .addEdge('resume', END)
    .compile({ checkpointer, name: 'approval' })
}

export type HeldRuns = {
  /**
   * Holds a run for each request that waits, and lets go of those that do not wait any more. The journal is the truth:
   * a run that is held for something else is begun anew. What fails is logged and tried again at the next head, since
   * nothing that is signed depends on it.
   */
  follow(): Promise<void>
  /** What the run of an intent is held for, by its checkpoint; null when it is not. */
  heldFor(intent: IntentId): Promise<HeldFor | null>
  /** What was decided about an intent, by its checkpoint; null before. */
  decided(intent: IntentId): Promise<Decision | null>
}

/**
 * Holds runs by LangGraph's interrupt while a person decides, each as a thread of its own, named by its intent.
 *
 * @example
 * const runs = holdRuns({ journal, checkpointer, logger })
 * await runs.follow() // at every head
 */
export function holdRuns({
  journal,
  checkpointer,
  logger,
}: {
  readonly journal: Pick<Journal, 'approval' | 'approvals' | 'intent'>
  readonly checkpointer: BaseCheckpointSaver
  readonly logger: Pick<Logger, 'warn'>
}): HeldRuns {
  const graph = createApprovalGraph(checkpointer)
  const thread = (intent: IntentId) => ({ configurable: { thread_id: intent }, durability: 'sync' }) as const
  /** Requests whose run is held. Null before the first look, which is at all that an earlier process may have held. */
  let holding: Set<Hash> | null = null

  /** What waits, and what waited when it was looked at last: not all that ever was. */
  async function changed(): Promise<readonly ApprovalRecord[]> {
    if (holding === null) return journal.approvals()
    const waiting = await journal.approvals('waiting')
    const gone = [...holding].filter((id) => !waiting.some((record) => record.id === id))
    const ended = await Promise.all(gone.map((id) => journal.approval(id)))
    return [...waiting, ...ended.filter((record) => record !== null)]
  }

  async function heldFor(intent: IntentId): Promise<HeldFor | null> {
    const { tasks } = await graph.getState(thread(intent))
    const [held] = tasks.flatMap(({ interrupts }) => interrupts)
    return (held?.value as HeldFor | undefined) ?? null
  }

  /** @returns whether its run is held now */
  async function followOne(record: ApprovalRecord): Promise<boolean> {
    const { id, intentId, agent, expiresAt } = record
    const intent = await journal.intent(intentId)
    const held = await heldFor(intentId)
    if (isWaiting(record) && intent?.status === 'proposed') {
      if (held?.planHash === id) return true
      const request: HeldFor = { planHash: id, agent, expiresAt: expiresAt.toString() }
      await graph.invoke({ heldFor: request, decision: null }, thread(intentId))
      return true
    }
    if (held?.planHash === id) {
      const decision: Decision = record.status === 'pending' ? 'void' : record.status
      await graph.invoke(new Command({ resume: { decision } }), thread(intentId))
    }
    return false
  }

  return {
    heldFor,
    async decided(intent) {
      const { values } = await graph.getState(thread(intent))
      return (values as { decision?: Decision | null }).decision ?? null
    },
    async follow() {
      try {
        // A tracer would hear the graph.
        silenceTracing()
        const held = new Set<Hash>()
        for (const record of await changed()) if (await followOne(record)) held.add(record.id)
        holding = held
      } catch (error) {
        logger.warn({ error: describeError(error) }, 'the checkpoints of what a person decides lag behind')
      }
    },
  }
}
