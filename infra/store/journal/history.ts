import { and, desc, eq, gte, inArray, isNotNull, ne, notInArray, or, type SQL, sql } from 'drizzle-orm'
import type { Journal } from '../../../runtime/core/journal.ts'
import { usd } from '../../../runtime/core/units.ts'
import { attempts, intents, runs } from '../schema.ts'
import { OPEN } from './attempts.ts'
import type { Scope } from './scope.ts'

/** What the guards and a person ask about the past. Each is one statement, so one picture. */
export function historyMethods(scope: Scope): Pick<Journal, 'history' | 'counts'> {
  return {
    history: (agent, account, since) =>
      scope.query('read the history', async (db) => {
        const ofAccount = and(eq(attempts.epoch, scope.key), eq(attempts.account, account))
        const own = and(ofAccount, eq(attempts.agent, agent))
        const isOpen = inArray(attempts.status, [...OPEN])
        const isSettled = notInArray(attempts.status, [...OPEN])
        // What was dropped without a signature was no action.
        const acted = or(ne(attempts.status, 'dropped'), isNotNull(attempts.raw))

        const reserved = db
          .select({ sum: total(attempts.reserved) })
          .from(attempts)
          .where(and(own, isOpen))
        const spent = db
          .select({ sum: total(attempts.spent) })
          .from(attempts)
          .where(and(own, isSettled, gte(attempts.signedAt, since)))
        const lastAction = db
          .select({ at: attempts.signedAt })
          .from(attempts)
          .where(and(own, acted))
          .orderBy(desc(attempts.signedAt))
          .limit(1)
        const peak = db
          .select({ equity: runs.equity })
          .from(runs)
          .where(
            and(
              eq(runs.epoch, scope.key),
              eq(runs.agent, agent),
              eq(runs.account, account),
              isNotNull(runs.equity),
            ),
          )
          .orderBy(desc(runs.equity))
          .limit(1)
        const [row] = await db
          .select({
            spent: sql<string>`(${reserved}) + (${spent})`,
            inFlight: db.$count(attempts, and(ofAccount, isOpen)),
            lastActionAt: sql<string | null>`(${lastAction})`,
            peakEquity: sql<string | null>`(${peak})`,
          })
          .from(sql`(SELECT) one`)
        return {
          spent: usd(BigInt(row?.spent ?? 0)),
          inFlight: row?.inFlight ?? 0,
          lastActionAt: row?.lastActionAt == null ? null : BigInt(row.lastActionAt),
          peakEquity: row?.peakEquity == null ? null : usd(BigInt(row.peakEquity)),
        }
      }),

    counts: () =>
      scope.query('count records', async (db) => {
        const of = (table: typeof runs | typeof intents | typeof attempts) =>
          db.$count(table, eq(table.epoch, scope.key))
        const [row] = await db
          .select({ runs: of(runs), intents: of(intents), attempts: of(attempts) })
          .from(sql`(SELECT) one`)
        return row ?? { runs: 0, intents: 0, attempts: 0 }
      }),
  }
}

/** The sum of a column, zero where there is nothing to add. */
const total = (column: typeof attempts.reserved | typeof attempts.spent): SQL<string> =>
  sql<string>`coalesce(sum(${column}), 0)`
