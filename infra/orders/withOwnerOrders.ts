import { describeError } from '../../runtime/core/errors.ts'
import type { Journal, Logger } from '../../runtime/core/ports.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import type { OwnerOrders } from './ownerOrders.ts'

const STRICTNESS: readonly TradingState[] = ['active', 'reducing', 'halted']

/** @example stricter('reducing', 'active') // 'reducing' */
export const stricter = (a: TradingState, b: TradingState): TradingState =>
  STRICTNESS.indexOf(a) > STRICTNESS.indexOf(b) ? a : b

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
        return stricter(recorded, orders.stateFor({ agent, account }))
      } catch (error) {
        logger.error({ agent, error: describeError(error) }, 'the owner’s orders cannot be read: halted')
        return 'halted'
      }
    },
  }
}
