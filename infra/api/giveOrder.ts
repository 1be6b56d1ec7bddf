import { agentId } from '../../runtime/core/ids.ts'
import type { JournalStore } from '../../runtime/core/journal.ts'
import type { KnownTargets } from '../orders/knownTargets.ts'
import type { TradingOrder } from './status.ts'

/**
 * Writes an order into the journal.
 *
 * There the strictest of what was said to all, to one agent and to one account counts. So a resumption of all is also
 * said to each of them: otherwise one that was halted by its name, or is frozen, would stay so.
 *
 * @param known all agents and accounts that there are
 * @example await giveOrder(store.journals, { scope: 'all', state: 'halted', reason: 'a bad feeling' }, known)
 */
export async function giveOrder(
  journals: Pick<JournalStore, 'setTradingState'>,
  { scope, state, reason }: TradingOrder,
  known: KnownTargets,
): Promise<void> {
  await journals.setTradingState(scope, state, reason)
  if (scope !== 'all' || state !== 'active') return
  for (const id of known.agents) await journals.setTradingState({ agent: agentId(id) }, state, reason)
  for (const account of known.accounts) await journals.setTradingState({ account }, state, reason)
}
