import { and, asc, eq, sql } from 'drizzle-orm'
import type { IntentId } from '../../../runtime/core/ids.ts'
import { type IntentRecord, type Journal, UnknownRecordError } from '../../../runtime/core/journal.ts'
import type { Verdict } from '../../../runtime/core/verdict.ts'
import { decodeAction, sameVerdict, storableVerdict } from '../json.ts'
import { intents, verdicts } from '../schema.ts'
import type { Queries, Scope } from './scope.ts'

/** Intents and the verdicts on them. */
export function intentMethods(
  scope: Scope,
): Pick<Journal, 'intent' | 'recordVerdict' | 'expireIntent' | 'openIntents' | 'intents'> {
  const isIntent = (id: IntentId) => and(eq(intents.epoch, scope.key), eq(intents.id, id))

  async function read(db: Queries, id: IntentId): Promise<IntentRecord> {
    const [intent] = await selectIntents(db).where(isIntent(id))
    if (intent === undefined) throw new UnknownRecordError('intent', id)
    return toIntent(intent)
  }

  return {
    intent: (id) =>
      scope.query('read an intent', async (db) => {
        const [row] = await selectIntents(db).where(isIntent(id))
        return row === undefined ? null : toIntent(row)
      }),

    recordVerdict: (id, newest, status) =>
      scope.transaction('record a verdict', async (tx) => {
        const verdict = storableVerdict(newest)
        // Locked, so that two verdicts at once get two places in the order.
        const [held] = await tx.select().from(intents).where(isIntent(id)).for('update')
        if (held === undefined) throw new UnknownRecordError('intent', id)
        // A statement of its own, which sees what was written while this one waited for the row.
        const given = await tx
          .select()
          .from(verdicts)
          .where(and(eq(verdicts.epoch, scope.key), eq(verdicts.intentId, id)))
          .orderBy(asc(verdicts.ordinal))
        if (held.status !== 'proposed') return toIntent({ ...held, verdicts: given })
        const last = given.at(-1)
        const isNew = last === undefined || !sameVerdict(last, verdict)
        if (isNew)
          await tx
            .insert(verdicts)
            .values({ ...verdict, epoch: scope.key, intentId: id, ordinal: (last?.ordinal ?? -1) + 1 })
        if (status === 'denied')
          await tx.update(intents).set({ status, changedAt: sql`now()` }).where(isIntent(id))
        return toIntent({ ...held, status, verdicts: isNew ? [...given, verdict] : given })
      }),

    expireIntent: (id) =>
      scope.transaction('expire an intent', async (tx) => {
        await tx
          .update(intents)
          .set({ status: 'expired', changedAt: sql`now()` })
          .where(and(isIntent(id), eq(intents.status, 'proposed')))
        return read(tx, id)
      }),

    openIntents: () =>
      scope.query('read open intents', async (db) => {
        const rows = await selectIntents(db)
          .where(and(eq(intents.epoch, scope.key), eq(intents.status, 'proposed')))
          .orderBy(asc(intents.seq))
        return rows.map(toIntent)
      }),

    intents: (agent) =>
      scope.query('read intents', async (db) => {
        const rows = await selectIntents(db)
          .where(
            and(eq(intents.epoch, scope.key), agent === undefined ? undefined : eq(intents.agent, agent)),
          )
          .orderBy(asc(intents.seq))
        return rows.map(toIntent)
      }),
  }
}

/** Intents with their verdicts, in one statement. */
function selectIntents(db: Queries) {
  return db
    .select({
      id: intents.id,
      runId: intents.runId,
      agent: intents.agent,
      account: intents.account,
      action: intents.action,
      status: intents.status,
      decidedOnBlock: intents.decidedOnBlock,
      verdicts: sql<readonly Verdict[]>`(
        SELECT coalesce(
          jsonb_agg(
            jsonb_build_object('phase', v.phase, 'allowed', v.allowed, 'findings', v.findings,
              'policyVersion', v.policy_version)
            ORDER BY v.ordinal),
          '[]')
        FROM ${verdicts} v WHERE v.epoch = ${intents.epoch} AND v.intent_id = ${intents.id})`,
    })
    .from(intents)
    .$dynamic()
}

type Row = Awaited<ReturnType<typeof selectIntents>>[number]

const toIntent = (row: Row): IntentRecord => ({
  id: row.id,
  runId: row.runId,
  agent: row.agent,
  account: row.account,
  action: decodeAction(row.action),
  status: row.status,
  decidedOnBlock: row.decidedOnBlock,
  // PostgreSQL orders the members of JSON by its own rule; what is read back has the members of the type alone.
  verdicts: row.verdicts.map(storableVerdict),
})
