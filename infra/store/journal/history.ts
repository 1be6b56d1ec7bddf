import { and, count, eq, inArray, max, sql } from 'drizzle-orm'
import type { Journal } from '../../../runtime/core/journal.ts'
import { usd } from '../../../runtime/core/units.ts'
import { attempts, intents, runs } from '../schema.ts'
import { OPEN } from './attempts.ts'
import type { Scope } from './scope.ts'

/** What the guards and a person ask about the past. */
export function historyMethods(scope: Scope): Pick<Journal, 'history' | 'counts'> {
  return {
    history: (agent, account, since) =>
      // Several statements, one picture: no attempt may come or go between the sum and the count.
      scope.snapshot('read the history', async (tx) => {
        const isOpen = sql`${inArray(attempts.status, [...OPEN])}`
        const [own] = await tx
          .select({
            spent: sql<string>`coalesce(sum(
                CASE WHEN ${isOpen} THEN ${attempts.reserved}
                     WHEN ${attempts.signedAt} >= ${since.toString()}::numeric THEN ${attempts.spent} END), 0)`,
            // What was dropped without a signature was no action.
            lastActionAt: sql<string | null>`max(${attempts.signedAt})
                FILTER (WHERE NOT (${attempts.status} = 'dropped' AND ${attempts.raw} IS NULL))`,
          })
          .from(attempts)
          .innerJoin(intents, and(eq(intents.epoch, attempts.epoch), eq(intents.id, attempts.intentId)))
          .innerJoin(runs, and(eq(runs.epoch, intents.epoch), eq(runs.id, intents.runId)))
          .where(and(eq(attempts.epoch, scope.key), eq(runs.agent, agent), eq(attempts.account, account)))
        const [flying] = await tx
          .select({ n: count() })
          .from(attempts)
          .where(and(eq(attempts.epoch, scope.key), eq(attempts.account, account), isOpen))
        const [peak] = await tx
          .select({ equity: max(runs.equity) })
          .from(runs)
          .where(and(eq(runs.epoch, scope.key), eq(runs.agent, agent), eq(runs.account, account)))
        return {
          spent: usd(BigInt(own?.spent ?? 0)),
          inFlight: flying?.n ?? 0,
          lastActionAt: own?.lastActionAt == null ? null : BigInt(own.lastActionAt),
          peakEquity: peak?.equity ?? null,
        }
      }),

    counts: () =>
      scope.query('count records', async (db) => {
        const of = (table: typeof runs | typeof intents | typeof attempts) =>
          sql<number>`(SELECT count(*)::int FROM ${table} WHERE ${table.epoch} = ${scope.key})`
        const [row] = await db
          .select({ runs: of(runs), intents: of(intents), attempts: of(attempts) })
          .from(sql`(SELECT 1) one`)
        return row ?? { runs: 0, intents: 0, attempts: 0 }
      }),
  }
}
