import { and, desc, eq, gte, isNotNull, isNull, ne, not, or, type SQL, sql } from 'drizzle-orm'
import type { Journal } from '../../../runtime/core/journal.ts'
import { usd } from '../../../runtime/core/units.ts'
import { attempts, intents, runs, verdicts } from '../schema.ts'
import { isOpenRow } from './attemptRows.ts'
import type { Scope } from './scope.ts'

/** What the guards and a person ask about the past. Each is one statement, so one picture. */
export function historyMethods(scope: Scope): Pick<Journal, 'history' | 'goodSince' | 'counts'> {
  return {
    history: (agent, account, since, apart = null) =>
      scope.query('read the history', async (db) => {
        const ofAccount = and(eq(attempts.epoch, scope.key), eq(attempts.owner, account))
        // What no agent is known for may be this one's, lost in a power cut.
        const own = and(ofAccount, or(eq(attempts.agent, agent), isNull(attempts.agent)))
        const spending = apart === null ? own : and(own, ne(attempts.account, apart))
        // Of all on one nonce only one can be mined: the dearest of them is what may be spent.
        const dearest = db
          .select({ reserved: sql`max(${attempts.reserved})`.as('reserved') })
          .from(attempts)
          .where(and(spending, isOpenRow))
          .groupBy(attempts.account, attempts.nonce)
          .as('dearest')
        const reserved = db.select({ sum: total(dearest.reserved) }).from(dearest)
        const spent = db
          .select({ sum: total(attempts.spent) })
          .from(attempts)
          .where(and(spending, not(isOpenRow), gte(attempts.signedAt, since)))
        const inFlight = db
          .select({ count: sql`count(DISTINCT (${attempts.account}, ${attempts.nonce}))::int` })
          .from(attempts)
          .where(and(ofAccount, isOpenRow))
        // What was dropped was no action, and filling a nonce is none.
        const lastAction = db
          .select({ at: attempts.signedAt })
          .from(attempts)
          .where(and(own, ne(attempts.status, 'dropped'), ne(attempts.purpose, 'fill')))
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
            inFlight: sql<number>`(${inFlight})`,
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

    goodSince: (agent, account, excused) =>
      scope.query('read the standing of an agent', async (db) => {
        const own = and(eq(intents.epoch, scope.key), eq(intents.agent, agent), eq(intents.account, account))
        const denied = db
          .select({ block: sql`max(${intents.decidedOnBlock})` })
          .from(intents)
          .innerJoin(verdicts, and(eq(verdicts.epoch, intents.epoch), eq(verdicts.intentId, intents.id)))
          .where(
            and(
              own,
              eq(verdicts.allowed, false),
              sql`EXISTS (
                SELECT FROM jsonb_array_elements(${verdicts.findings}) f
                WHERE f ->> 'allowed' = 'false' AND NOT ${JSON.stringify(excused)}::jsonb ? (f ->> 'code'))`,
            ),
          )
        const deviated = db
          .select({ block: sql`max(${attempts.blockNumber})` })
          .from(attempts)
          .innerJoin(intents, and(eq(intents.epoch, attempts.epoch), eq(intents.id, attempts.intentId)))
          .where(and(own, eq(intents.status, 'deviated'), eq(attempts.status, 'confirmed')))
        const first = db
          .select({ block: sql`min(${runs.blockNumber})` })
          .from(runs)
          .where(and(eq(runs.epoch, scope.key), eq(runs.agent, agent), eq(runs.account, account)))
        const [row] = await db
          .select({ block: sql<string | null>`greatest((${denied}), (${deviated}), (${first}))` })
          .from(sql`(SELECT) one`)
        return row?.block == null ? null : BigInt(row.block)
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
const total = (column: typeof attempts.spent | SQL.Aliased): SQL<string> =>
  sql<string>`coalesce(sum(${column}), 0)`
