import { and, desc, eq, isNull, or } from 'drizzle-orm'
import type { Journal, JournalStore } from '../../../runtime/core/journal.ts'
import { strictest } from '../../../runtime/core/verdict.ts'
import { tradingOrders } from '../schema.ts'
import type { Db, Scope } from './scope.ts'

/** Records what a person ordered, in every epoch. */
export async function giveOrder(
  db: Db,
  ...[scope, state, reason]: Parameters<JournalStore['setTradingState']>
): Promise<void> {
  await db.insert(tradingOrders).values({ ...(scope === 'all' ? {} : scope), state, reason })
}

/** Orders are kept as they were given; the last of each scope counts. */
export function tradingStateMethods(scope: Scope): Pick<Journal, 'tradingState' | 'freeze'> {
  return {
    tradingState: (agent, account) =>
      scope.query('read the trading state', async (db) => {
        const { epoch, agent: of, account: on, seq, state } = tradingOrders
        const isForAll = and(isNull(of), isNull(on))
        const last = await db
          .selectDistinctOn([epoch, of, on], { epoch, account: on, seq, state })
          .from(tradingOrders)
          .where(and(or(isNull(epoch), eq(epoch, scope.key)), or(isForAll, eq(of, agent), eq(on, account))))
          .orderBy(epoch, of, on, desc(seq))
        const resumed = Math.max(
          0,
          ...last
            .filter((order) => order.epoch === null && order.account === null && order.state === 'active')
            .map((order) => order.seq),
        )
        // A freeze holds until a person resumes its agent. Where the last word of a person to it is another than that,
        // it is at least as strict as a freeze, so it does not matter whether there was a resumption before.
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
