import { aliasedTable, and, asc, eq, inArray, max, sql } from 'drizzle-orm'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { AgentId, AttemptId, IntentId } from '../../../runtime/core/ids.ts'
import {
  type AttemptRecord,
  type AttemptStatus,
  type Journal,
  NonceTakenError,
  type Settlement,
  StatusConflictError,
  UnknownRecordError,
} from '../../../runtime/core/journal.ts'
import type { Outcome } from '../../../runtime/core/lifecycle.ts'
import { usd } from '../../../runtime/core/units.ts'
import { decodeBalanceChanges, decodePlan, encodeBalanceChanges, encodePlan } from '../json.ts'
import { checkPrepared, judgeSettlement, noncesOf, settledIntent } from '../rules.ts'
import { attempts, intents, nonces, outcomes } from '../schema.ts'
import { fence } from './leases.ts'
import type { Queries, Scope, Tx } from './scope.ts'

/** Statuses whose outcome is not known. */
export const OPEN = ['prepared', 'signed', 'broadcast', 'unknown'] as const satisfies readonly AttemptStatus[]

/** Attempts, from the claim of a nonce to what became of it. */
export function attemptMethods(
  scope: Scope,
): Pick<Journal, 'prepare' | 'sign' | 'markBroadcast' | 'settle' | 'inFlight' | 'nextNonce' | 'attempts'> {
  const isAttempt = (id: AttemptId) => and(eq(attempts.epoch, scope.key), eq(attempts.id, id))
  const changedAt = sql`now()`

  async function find(db: Queries, id: AttemptId): Promise<AttemptRecord | undefined> {
    const [row] = await selectAttempts(db).where(isAttempt(id))
    return row === undefined ? undefined : toAttempt(row)
  }

  async function read(db: Queries, id: AttemptId): Promise<AttemptRecord> {
    const attempt = await find(db, id)
    if (attempt === undefined) throw new UnknownRecordError('attempt', id)
    return attempt
  }

  /** Moves an intent to `signed`. Gives its agent. */
  async function markSigned(tx: Tx, intentId: IntentId): Promise<AgentId> {
    const isIntent = and(eq(intents.epoch, scope.key), eq(intents.id, intentId))
    const [signed] = await tx
      .update(intents)
      .set({ status: 'signed', changedAt })
      .where(and(isIntent, eq(intents.status, 'proposed')))
      .returning({ agent: intents.agent })
    if (signed !== undefined) return signed.agent
    const [found] = await tx.select({ status: intents.status }).from(intents).where(isIntent)
    if (found === undefined) throw new UnknownRecordError('intent', intentId)
    throw new StatusConflictError('intent', intentId, found.status, 'be signed')
  }

  const storeOutcome = (tx: Tx, id: AttemptId, phase: 'expected' | 'actual', outcome: Outcome) =>
    tx.insert(outcomes).values({
      ...outcome,
      epoch: scope.key,
      attemptId: id,
      phase,
      balanceChanges: encodeBalanceChanges(outcome.balanceChanges),
    })

  return {
    async prepare(lease, attempt) {
      checkPrepared(lease, attempt)
      return scope.transaction('prepare an attempt', async (tx) => {
        await fence(scope, tx, lease)
        const stored = await find(tx, attempt.id)
        if (stored !== undefined) return stored
        const agent = await markSigned(tx, attempt.intentId)
        const { expected, plan, ...rest } = attempt
        await tx
          .insert(attempts)
          .values({ ...rest, agent, epoch: scope.key, plan: encodePlan(plan), status: 'prepared' })
        await storeOutcome(tx, attempt.id, 'expected', expected)
        const wanted = noncesOf(attempt)
        const claimed = await tx
          .insert(nonces)
          .values(
            wanted.map((nonce) => ({
              epoch: scope.key,
              account: attempt.account,
              nonce,
              attemptId: attempt.id,
            })),
          )
          .onConflictDoNothing()
          .returning({ nonce: nonces.nonce })
        const taken = wanted.find((nonce) => !claimed.some((claim) => claim.nonce === nonce))
        if (taken !== undefined) throw new NonceTakenError(attempt.account, taken, attempt.id)
        return read(tx, attempt.id)
      })
    },

    sign: (lease, id, { raw, hash }) =>
      scope.transaction('store signed bytes', async (tx) => {
        await fence(scope, tx, lease)
        const [signed] = await tx
          .update(attempts)
          .set({ status: 'signed', raw, hash, changedAt })
          .where(and(isAttempt(id), eq(attempts.account, lease.account), eq(attempts.status, 'prepared')))
          .returning({ id: attempts.id })
        const attempt = await read(tx, id)
        if (attempt.account !== lease.account)
          throw new InvariantError('The lease is on another account than the attempt.', { attempt: id })
        // Its nonces are free again: bytes that come now must not get out.
        if (signed === undefined && attempt.status === 'dropped')
          throw new StatusConflictError('attempt', id, attempt.status, 'be signed')
        return attempt
      }),

    markBroadcast: (id) =>
      scope.query('mark a broadcast', async (db) => {
        const [marked] = await db
          .update(attempts)
          .set({ status: 'broadcast', changedAt })
          .where(and(isAttempt(id), eq(attempts.status, 'signed')))
          .returning({ id: attempts.id })
        if (marked !== undefined) return
        const [found] = await db.select({ status: attempts.status }).from(attempts).where(isAttempt(id))
        if (found === undefined) throw new UnknownRecordError('attempt', id)
        if (found.status === 'prepared')
          throw new StatusConflictError('attempt', id, found.status, 'be broadcast')
      }),

    settle: (id, settlement) =>
      scope.transaction('settle an attempt', async (tx) => {
        const [held] = await tx
          .select({ status: attempts.status, intentId: attempts.intentId })
          .from(attempts)
          .where(isAttempt(id))
          .for('update')
        if (held === undefined) throw new UnknownRecordError('attempt', id)
        if (judgeSettlement(id, held.status, settlement) === 'keep') return read(tx, id)
        await tx
          .update(attempts)
          .set({ ...settled(settlement), changedAt })
          .where(and(isAttempt(id), inArray(attempts.status, [...OPEN])))
        if ('actual' in settlement && settlement.actual !== null)
          await storeOutcome(tx, id, 'actual', settlement.actual)
        if (settlement.status === 'dropped')
          await tx.delete(nonces).where(and(eq(nonces.epoch, scope.key), eq(nonces.attemptId, id)))
        await tx
          .update(intents)
          .set({ status: settledIntent(settlement), changedAt })
          .where(
            and(eq(intents.epoch, scope.key), eq(intents.id, held.intentId), eq(intents.status, 'signed')),
          )
        return read(tx, id)
      }),

    inFlight: (account) =>
      scope.query('read attempts in flight', async (db) => {
        const rows = await selectAttempts(db)
          .where(
            and(
              eq(attempts.epoch, scope.key),
              inArray(attempts.status, [...OPEN]),
              account === undefined ? undefined : eq(attempts.account, account),
            ),
          )
          .orderBy(asc(attempts.nonce), asc(attempts.seq))
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
        const rows = await selectAttempts(db)
          .where(
            and(eq(attempts.epoch, scope.key), agent === undefined ? undefined : eq(attempts.agent, agent)),
          )
          .orderBy(asc(attempts.seq))
        return rows.map(toAttempt)
      }),
  }
}

/** The columns that a settlement sets. */
function settled(settlement: Settlement): Partial<typeof attempts.$inferInsert> {
  switch (settlement.status) {
    case 'confirmed':
    case 'reverted':
      return {
        status: settlement.status,
        blockNumber: settlement.blockNumber,
        blockHash: settlement.blockHash,
        spent: settlement.spent,
        failure: settlement.status === 'reverted' ? settlement.failure : null,
      }
    case 'dropped':
      return { status: 'dropped', spent: usd(0n), failure: settlement.failure }
    case 'unknown':
      return { status: 'unknown', failure: settlement.failure }
  }
}

const expected = aliasedTable(outcomes, 'expected')
const actual = aliasedTable(outcomes, 'actual')

/** Attempts with what was expected and what happened, in one statement. */
function selectAttempts(db: Queries) {
  return db
    .select({ attempt: attempts, expected, actual })
    .from(attempts)
    .innerJoin(
      expected,
      and(
        eq(expected.epoch, attempts.epoch),
        eq(expected.attemptId, attempts.id),
        eq(expected.phase, 'expected'),
      ),
    )
    .leftJoin(
      actual,
      and(eq(actual.epoch, attempts.epoch), eq(actual.attemptId, attempts.id), eq(actual.phase, 'actual')),
    )
    .$dynamic()
}

type OutcomeRow = typeof outcomes.$inferSelect
type Row = {
  readonly attempt: typeof attempts.$inferSelect
  readonly expected: OutcomeRow
  readonly actual: OutcomeRow | null
}

function toAttempt({ attempt, expected, actual }: Row): AttemptRecord {
  const { epoch: _epoch, seq: _seq, agent: _agent, changedAt: _changedAt, plan, ...rest } = attempt
  return {
    ...rest,
    plan: decodePlan(plan),
    expected: toOutcome(expected),
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
