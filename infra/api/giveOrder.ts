import { agentId } from '../../runtime/core/ids.ts'
import type { JournalStore } from '../../runtime/core/journal.ts'
import type { TradingOrder } from './status.ts'

/**
 * Writes an order into the journal.
 *
 * There the strictest of what was said to all and what was said to one counts. So a resumption of all agents is also
 * said to each of them: otherwise one that was halted by its name, or is frozen, would stay so.
 *
 * @param agents all that there are
 * @example await giveOrder(store.journals, { agent: null, state: 'halted', reason: 'a bad feeling' }, ['guardian'])
 */
export async function giveOrder(
  journals: Pick<JournalStore, 'setTradingState'>,
  { agent, state, reason }: TradingOrder,
  agents: readonly string[],
): Promise<void> {
  await journals.setTradingState(agent === null ? 'all' : { agent: agentId(agent) }, state, reason)
  if (agent !== null || state !== 'active') return
  for (const id of agents) await journals.setTradingState({ agent: agentId(id) }, state, reason)
}
