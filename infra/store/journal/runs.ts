import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import type { RunId } from '../../../runtime/core/ids.ts'
import {
  type DecisionRecord,
  type Journal,
  type RunRecord,
  UnknownRecordError,
} from '../../../runtime/core/journal.ts'
import { encodeAction } from '../json.ts'
import { checkDecision } from '../rules.ts'
import { intents, runs } from '../schema.ts'
import type { Scope } from './scope.ts'

type Row = typeof runs.$inferSelect

/** Runs and what they decided. */
export function runMethods(scope: Scope): Pick<Journal, 'startRun' | 'decide' | 'failRun' | 'runs'> {
  const isRun = (id: RunId) => and(eq(runs.epoch, scope.key), eq(runs.id, id))

  return {
    startRun: (run) =>
      scope.query('start a run', async (db) => {
        const [row] = await db
          .insert(runs)
          .values({
            epoch: scope.key,
            id: run.id,
            agent: run.agent,
            account: run.account,
            blockNumber: run.blockNumber,
            blockHash: run.blockHash,
            status: 'started',
          })
          .onConflictDoUpdate({
            target: [runs.epoch, runs.id],
            set: { status: sql`CASE ${runs.status} WHEN 'failed' THEN 'started' ELSE ${runs.status} END` },
          })
          .returning()
        return toRun(row, run.id)
      }),

    async decide(id, decision, intent) {
      checkDecision(decision, intent)
      return scope.transaction('record a decision', async (tx) => {
        const [decided] = await tx
          .update(runs)
          .set({ ...decision, status: 'decided', decidedAt: sql`now()` })
          .where(and(isRun(id), inArray(runs.status, ['started', 'failed'])))
          .returning()
        if (decided === undefined) {
          // Somebody decided before: the first decision holds.
          const [first] = await tx.select().from(runs).where(isRun(id))
          return toRun(first, id)
        }
        if (intent !== null)
          await tx.insert(intents).values({
            epoch: scope.key,
            id: intent.id,
            runId: id,
            agent: decided.agent,
            account: decided.account,
            decidedOnBlock: decided.blockNumber,
            action: encodeAction(intent.action),
            status: 'proposed',
          })
        return toRun(decided, id)
      })
    },

    failRun: (id, error) =>
      scope.query('record a failure', async (db) => {
        const [row] = await db
          .update(runs)
          .set({
            error,
            status: sql`CASE ${runs.status} WHEN 'decided' THEN 'decided' ELSE 'failed' END`,
          })
          .where(isRun(id))
          .returning({ id: runs.id })
        if (row === undefined) throw new UnknownRecordError('run', id)
      }),

    runs: (agent) =>
      scope.query('read runs', async (db) => {
        const rows = await db
          .select()
          .from(runs)
          .where(and(eq(runs.epoch, scope.key), agent === undefined ? undefined : eq(runs.agent, agent)))
          .orderBy(asc(runs.seq))
        return rows.map((row) => toRun(row, row.id))
      }),
  }
}

/** @throws {UnknownRecordError} when there is no row. */
function toRun(row: Row | undefined, id: RunId): RunRecord {
  if (row === undefined) throw new UnknownRecordError('run', id)
  return {
    id: row.id,
    agent: row.agent,
    account: row.account,
    blockNumber: row.blockNumber,
    blockHash: row.blockHash,
    status: row.status,
    decision: toDecision(row),
    error: row.error,
  }
}

/** The schema holds that a decision is there whole or not at all. */
function toDecision(row: Row): DecisionRecord | null {
  const { snapshotHash, intent, reason, source, candidates, inferenceCalls, equity, healthFactor } = row
  if (
    snapshotHash === null ||
    intent === null ||
    reason === null ||
    source === null ||
    candidates === null ||
    inferenceCalls === null ||
    equity === null ||
    healthFactor === null
  )
    return null
  const { fallbackReason, model } = row
  return {
    snapshotHash,
    intent,
    reason,
    source,
    fallbackReason,
    candidates,
    inferenceCalls,
    model,
    equity,
    healthFactor,
  }
}
