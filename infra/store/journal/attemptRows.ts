import { and, asc, eq, gte, inArray, max, type SQL, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import { openStatuses } from '../../../runtime/core/attempts.ts'
import type { AttemptId } from '../../../runtime/core/ids.ts'
import { type AttemptRecord, type Journal, UnknownRecordError } from '../../../runtime/core/journal.ts'
import type { Outcome } from '../../../runtime/core/lifecycle.ts'
import { decodeBalanceChanges, decodePlan } from '../json.ts'
import { sourcesOf } from '../rules.ts'
import { attemptSteps, attempts, nonces, outcomes } from '../schema.ts'
import type { Queries, Scope } from './scope.ts'

/** Attempts whose outcome is not known. The list is written out, as in the index that answers it. */
export const isOpenRow: SQL = sql`${attempts.status} IN (${sql.raw(openStatuses.map((status) => `'${status}'`).join(', '))})`

const expected = alias(outcomes, 'expected')
const actual = alias(outcomes, 'actual')

/** What can be read of attempts. */
export function attemptReadMethods(
  scope: Scope,
): Pick<Journal, 'inFlight' | 'settledFrom' | 'nextNonce' | 'attempts' | 'steps'> {
  const ofEpoch = eq(attempts.epoch, scope.key)

  return {
    inFlight: (account) =>
      scope.query('read attempts in flight', async (db) => {
        const rows = await selectAttempts(db)
          .where(and(ofEpoch, isOpenRow, account === undefined ? undefined : eq(attempts.account, account)))
          .orderBy(asc(attempts.nonce), asc(attempts.seq))
        return rows.map(toAttempt)
      }),

    settledFrom: (block, account) =>
      scope.query('read settled attempts', async (db) => {
        const rows = await selectAttempts(db)
          .where(
            and(
              ofEpoch,
              gte(attempts.blockNumber, block),
              inArray(attempts.status, ['confirmed', 'failed', 'replaced']),
              account === undefined ? undefined : eq(attempts.account, account),
            ),
          )
          .orderBy(asc(attempts.seq))
        return rows.map(toAttempt)
      }),

    nextNonce: (account) =>
      scope.query('read the next nonce', async (db) => {
        const [row] = await db
          .select({ highest: max(nonces.nonce) })
          .from(nonces)
          .where(and(eq(nonces.epoch, scope.key), eq(nonces.account, account)))
        return row?.highest == null ? null : row.highest + 1n
      }),

    attempts: (agent) =>
      scope.query('read attempts', async (db) => {
        return readAttempts(db, and(ofEpoch, agent === undefined ? undefined : eq(attempts.agent, agent)))
      }),

    steps: (id) =>
      scope.query('read the steps of an attempt', async (db) => {
        const rows = await db
          .select({ from: attemptSteps.from, to: attemptSteps.to })
          .from(attemptSteps)
          .where(and(eq(attemptSteps.epoch, scope.key), eq(attemptSteps.attemptId, id)))
          .orderBy(asc(attemptSteps.ordinal))
        // Every attempt has its first.
        if (rows.length === 0) throw new UnknownRecordError('attempt', id)
        return rows
      }),
  }
}

/** @throws {UnknownRecordError} when there is none. */
export async function readAttempt(db: Queries, scope: Scope, id: AttemptId): Promise<AttemptRecord> {
  const [row] = await selectAttempts(db).where(and(eq(attempts.epoch, scope.key), eq(attempts.id, id)))
  if (row === undefined) throw new UnknownRecordError('attempt', id)
  return toAttempt(row)
}

type Change = Partial<AttemptRow> & Pick<AttemptRow, 'status'>

/**
 * Moves an attempt that is in a status from which the state machine goes there, in one statement. What is moved so has no
 * outcome yet but the expected one.
 *
 * @returns the attempt; undefined when there is none, or it is in another status
 */
export async function moveAttempt(
  db: Queries,
  which: SQL | undefined,
  change: Change,
): Promise<AttemptRecord | undefined> {
  const moved = db.$with('moved').as(
    db
      .update(attempts)
      .set({ ...change, changedAt: sql`now()` })
      .where(and(which, inArray(attempts.status, sourcesOf(change.status))))
      .returning(),
  )
  const [row] = await db
    .with(moved)
    .select()
    .from(moved)
    .leftJoin(
      expected,
      and(eq(expected.epoch, moved.epoch), eq(expected.attemptId, moved.id), eq(expected.phase, 'expected')),
    )
  return row === undefined
    ? undefined
    : toAttempt({ attempt: row.moved, expected: row.expected, actual: null })
}

/** Attempts with what was expected and what happened, in one statement. */
function selectAttempts(db: Queries) {
  const isOutcome = (outcome: typeof expected | typeof actual, phase: 'expected' | 'actual') =>
    and(eq(outcome.epoch, attempts.epoch), eq(outcome.attemptId, attempts.id), eq(outcome.phase, phase))
  return db
    .select({ attempt: attempts, expected, actual })
    .from(attempts)
    .leftJoin(expected, isOutcome(expected, 'expected'))
    .leftJoin(actual, isOutcome(actual, 'actual'))
    .$dynamic()
}

/** The attempts that `which` names, in the order they were first recorded. */
export async function readAttempts(db: Queries, which: SQL | undefined): Promise<readonly AttemptRecord[]> {
  const rows = await selectAttempts(db).where(which).orderBy(asc(attempts.seq))
  return rows.map(toAttempt)
}

type OutcomeRow = typeof outcomes.$inferSelect
export type AttemptRow = typeof attempts.$inferSelect
type Row = {
  readonly attempt: AttemptRow
  readonly expected: OutcomeRow | null
  readonly actual: OutcomeRow | null
}

export function toAttempt({ attempt, expected, actual }: Row): AttemptRecord {
  const { epoch: _epoch, seq: _seq, agent: _agent, owner: _owner, changedAt: _changedAt, ...rest } = attempt
  return {
    ...rest,
    plan: decodePlan(rest.plan),
    expected: expected === null ? null : toOutcome(expected),
    actual: actual === null ? null : toOutcome(actual),
  }
}

const toOutcome = (row: OutcomeRow): Outcome => ({
  healthFactor: row.healthFactor,
  totalCollateral: row.totalCollateral,
  totalDebt: row.totalDebt,
  equity: row.equity,
  gasUsed: row.gasUsed,
  gasCost: row.gasCost,
  balanceChanges: decodeBalanceChanges(row.balanceChanges),
})
