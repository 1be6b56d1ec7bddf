import { asc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { type EpochId, epochId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore } from '../../runtime/core/journal.ts'
import { approvalMethods } from './journal/approvals.ts'
import { attemptReadMethods } from './journal/attemptRows.ts'
import { attemptMethods } from './journal/attempts.ts'
import { historyMethods } from './journal/history.ts'
import { intentMethods } from './journal/intents.ts'
import { leaseMethods } from './journal/leases.ts'
import { movementMethods } from './journal/movement.ts'
import { runMethods } from './journal/runs.ts'
import type { Db, Scope } from './journal/scope.ts'
import { giveOrder, tradingStateMethods } from './journal/tradingState.ts'
import type { Database } from './openDatabase.ts'
import { epochs } from './schema.ts'
import { toDatabaseError } from './toDatabaseError.ts'

/**
 * The journals of a database, one for each epoch: the port `JournalStore` on PostgreSQL.
 *
 * Each method is one transaction, short and with nothing but statements in it, because the embedded PostgreSQL has
 * one session that everyone waits for.
 *
 * @example
 * const journal = await createJournals(database).open(31337, genesisHash)
 */
export function createJournals({ pool, where }: Pick<Database, 'pool' | 'where'>): JournalStore {
  const db: Db = drizzle(pool)
  const guarded = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw toDatabaseError(error, where, step)
    }
  }

  const journalOf = (epoch: EpochId, key: number): Journal =>
    createJournal({
      epoch,
      key,
      query: (step, work) => guarded(step, () => work(db)),
      transaction: (step, work) => guarded(step, () => db.transaction(work)),
    })

  return {
    open: (chainId, genesisHash) =>
      guarded('begin an epoch', async () => {
        const id = epochId(chainId, genesisHash)
        await db.insert(epochs).values({ id, chainId, genesisHash }).onConflictDoNothing()
        const [epoch] = await db.select({ key: epochs.key }).from(epochs).where(eq(epochs.id, id))
        return journalOf(id, epoch?.key ?? 0)
      }),
    all: () =>
      guarded('read the epochs', async () => {
        const rows = await db.select({ id: epochs.id, key: epochs.key }).from(epochs).orderBy(asc(epochs.key))
        return rows.map(({ id, key }) => journalOf(id, key))
      }),
    setTradingState: (...order) => guarded('record an order', () => giveOrder(db, ...order)),
  }
}

const createJournal = (scope: Scope): Journal => ({
  epoch: scope.epoch,
  ...runMethods(scope),
  ...intentMethods(scope),
  ...leaseMethods(scope),
  ...attemptMethods(scope),
  ...movementMethods(scope),
  ...attemptReadMethods(scope),
  ...historyMethods(scope),
  ...approvalMethods(scope),
  ...tradingStateMethods(scope),
})
