import { and, desc, eq, isNull, or } from 'drizzle-orm'
import type { Journal, JournalStore } from '../../../runtime/core/journal.ts'
import { strictest } from '../rules.ts'
import { tradingOrders } from '../schema.ts'
import type { Db, Scope } from './scope.ts'

/** Records what a person ordered, for all agents or one, in every epoch. */
export async function giveOrder(
  db: Db,
  ...[agent, state, reason]: Parameters<JournalStore['setTradingState']>
): Promise<void> {
  await db.insert(tradingOrders).values({ agent, state, reason })
}

/** Orders are kept as they were given; the last of each scope counts. */
export function tradingStateMethods(scope: Scope): Pick<Journal, 'tradingState' | 'freeze'> {
  return {
    tradingState: (agent) =>
      scope.query('read the trading state', async (db) => {
        const { epoch, agent: of, seq, state } = tradingOrders
        const last = await db
          .selectDistinctOn([epoch, of], { epoch, agent: of, seq, state })
          .from(tradingOrders)
          .where(and(or(isNull(epoch), eq(epoch, scope.key)), or(isNull(of), eq(of, agent))))
          .orderBy(epoch, of, desc(seq))
        const resumed = Math.max(
          0,
          ...last
            .filter((order) => order.epoch === null && order.state === 'active')
            .map((order) => order.seq),
        )
        // A freeze holds until a person resumes. Where the last word of a person is another than that, it is at least
        // as strict as a freeze, so it does not matter whether there was a resumption before.
        return strictest(
          last.filter((order) => order.epoch === null || order.seq > resumed).map((order) => order.state),
        )
      }),

    freeze: (agent, reason) =>
      scope.query('freeze an agent', async (db) => {
        await db.insert(tradingOrders).values({ epoch: scope.key, agent, state: 'reducing', reason })
      }),
  }
}
