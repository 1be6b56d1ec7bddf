import { describeError } from '../../runtime/core/errors.ts'
import type { Journal, Logger } from '../../runtime/core/ports.ts'
import { strictest } from '../../runtime/core/verdict.ts'
import type { OwnerOrders } from './ownerOrders.ts'

/**
 * A journal whose trading state is the strictest of its own and of the orders on this machine, so that an order holds
 * from the next guard on even where the database could not be told. Orders that cannot be read halt.
 *
 * @example const journal = withOwnerOrders(await journals.open(chainId, genesis), openOrders('.rialto'), logger)
 */
export function withOwnerOrders(
  journal: Journal,
  orders: OwnerOrders,
  logger: Pick<Logger, 'error'>,
): Journal {
  return {
    ...journal,
    async tradingState(agent, account) {
      const recorded = await journal.tradingState(agent, account)
      try {
        return strictest([recorded, orders.stateFor({ agent, account })])
      } catch (error) {
        logger.error({ agent, error: describeError(error) }, 'the owner’s orders cannot be read: halted')
        return 'halted'
      }
    },
  }
}
