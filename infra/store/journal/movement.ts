import { and, asc, eq, inArray, notExists, type SQL, sql } from 'drizzle-orm'
import type { OutsideTransaction } from '../../../runtime/core/attempts.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { AttemptId, Hash, IntentId } from '../../../runtime/core/ids.ts'
import {
  type AttemptRecord,
  type IntentStatus,
  type Journal,
  StatusConflictError,
  UnknownRecordError,
} from '../../../runtime/core/journal.ts'
import { usd } from '../../../runtime/core/units.ts'
import { encodeBalanceChanges } from '../json.ts'
import {
  heldNonces,
  isFinal,
  judgeSettlement,
  judgeStep,
  replacedBy,
  settledIntent,
  sourcesOf,
  supersededBy,
} from '../rules.ts'
import { attempts, intents, leases, nonces, outcomes } from '../schema.ts'
import { type AttemptRow, isOpenRow, moveAttempt, readAttempt, readAttempts } from './attemptRows.ts'
import type { Scope, Tx } from './scope.ts'

type Moved = Pick<AttemptRow, 'id' | 'intentId' | 'account' | 'nonce' | 'noncesUsed' | 'status'>

/** What an attempt has while it is in no block and nothing is known of its outcome. */
const UNDECIDED = { blockNumber: null, blockHash: null, spent: null, failure: null } as const

/**
 * Attempts, from the wire on. Whoever moves one holds its row, and whoever decides about a nonce holds the account's
 * lease as a row and then all attempts on that nonce, in their order: of several movers at once one is first.
 */
export function movementMethods(scope: Scope): Pick<Journal, 'advance' | 'settle' | 'supersede'> {
  const changedAt = sql`now()`
  const isAttempt = (id: AttemptId) => and(eq(attempts.epoch, scope.key), eq(attempts.id, id))
  const onNonce = ({ account, nonce }: Pick<AttemptRow, 'account' | 'nonce'>) =>
    and(eq(attempts.epoch, scope.key), eq(attempts.account, account), eq(attempts.nonce, nonce))

  /** Everything on the nonce of an attempt, so that nobody else decides about it before this transaction ends. */
  async function holdNonceOf(tx: Tx, id: AttemptId): Promise<{ attempt: AttemptRow; others: AttemptRow[] }> {
    const [where] = await tx
      .select({ account: attempts.account, nonce: attempts.nonce })
      .from(attempts)
      .where(isAttempt(id))
    const rows = where === undefined ? [] : await holdNonce(tx, where)
    const attempt = rows.find((row) => row.id === id)
    if (attempt === undefined) throw new UnknownRecordError('attempt', id)
    return { attempt, others: rows.filter((row) => row.id !== id) }
  }

  async function holdNonce(tx: Tx, where: Pick<AttemptRow, 'account' | 'nonce'>): Promise<AttemptRow[]> {
    await tx
      .select({ token: leases.token })
      .from(leases)
      .where(and(eq(leases.epoch, scope.key), eq(leases.account, where.account)))
      .for('update')
    return tx.select().from(attempts).where(onNonce(where)).orderBy(asc(attempts.seq)).for('update')
  }

  /** Sets the status of those that the state machine lets come there. */
  const move = (tx: Tx, which: SQL | undefined, change: Partial<AttemptRow> & Pick<AttemptRow, 'status'>) =>
    tx
      .update(attempts)
      .set({ ...change, changedAt })
      .where(and(which, inArray(attempts.status, sourcesOf(change.status))))
      .returning()

  /** Ends intents that are `signed` and have nothing open any more. */
  async function endIntents(tx: Tx, ids: readonly (IntentId | null)[]): Promise<void> {
    const known = [...new Set(ids.filter((id) => id !== null))]
    if (known.length === 0) return
    const open = tx
      .select({ one: sql`1` })
      .from(attempts)
      .where(and(eq(attempts.epoch, scope.key), eq(attempts.intentId, intents.id), isOpenRow))
    await tx
      .update(intents)
      .set({ status: 'expired', changedAt })
      .where(
        and(
          eq(intents.epoch, scope.key),
          inArray(intents.id, known),
          eq(intents.status, 'signed'),
          notExists(open),
        ),
      )
  }

  async function endIntent(tx: Tx, id: IntentId | null, status: IntentStatus): Promise<void> {
    if (id === null) return
    await tx
      .update(intents)
      .set({ status, changedAt })
      .where(and(eq(intents.epoch, scope.key), eq(intents.id, id), eq(intents.status, 'signed')))
  }

  /** What was decided about intents is open again, unless another attempt of theirs stays in its block. */
  async function reopenIntents(tx: Tx, ids: readonly (IntentId | null)[]): Promise<void> {
    const known = [...new Set(ids.filter((id) => id !== null))]
    if (known.length === 0) return
    const final = tx
      .select({ one: sql`1` })
      .from(attempts)
      .where(
        and(
          eq(attempts.epoch, scope.key),
          eq(attempts.intentId, intents.id),
          inArray(attempts.status, ['confirmed', 'failed']),
        ),
      )
    await tx
      .update(intents)
      .set({ status: 'signed', changedAt })
      .where(and(eq(intents.epoch, scope.key), inArray(intents.id, known), notExists(final)))
  }

  /** Gives free what attempts do not hold any more, or over to another that holds it as well. */
  async function release(tx: Tx, moved: readonly Moved[]): Promise<void> {
    const [first] = moved
    const free = moved.flatMap((one) =>
      [one.nonce, one.nonce + 1n].filter((nonce) => !heldNonces(one).includes(nonce)),
    )
    if (first === undefined || free.length === 0) return
    const ofAccount = and(eq(nonces.epoch, scope.key), eq(nonces.account, first.account))
    const freed = await tx
      .delete(nonces)
      .where(
        and(
          ofAccount,
          inArray(nonces.nonce, free),
          inArray(
            nonces.attemptId,
            moved.map(({ id }) => id),
          ),
        ),
      )
      .returning({ nonce: nonces.nonce })
    if (freed.length === 0) return
    const holders = await tx
      .select()
      .from(attempts)
      .where(
        and(
          eq(attempts.epoch, scope.key),
          eq(attempts.account, first.account),
          inArray(
            attempts.nonce,
            freed.flatMap(({ nonce }) => (nonce === 0n ? [nonce] : [nonce - 1n, nonce])),
          ),
        ),
      )
      .orderBy(asc(attempts.seq))
    await claim(
      tx,
      holders,
      freed.map(({ nonce }) => nonce),
    )
  }

  /** Claims what attempts hold, of some nonces or all, where it is free. */
  async function claim(tx: Tx, holders: readonly Moved[], among?: readonly bigint[]): Promise<void> {
    const claims = holders.flatMap((holder) =>
      heldNonces(holder)
        .filter((nonce) => among === undefined || among.includes(nonce))
        .map((nonce) => ({ epoch: scope.key, account: holder.account, nonce, attemptId: holder.id })),
    )
    if (claims.length > 0) await tx.insert(nonces).values(claims).onConflictDoNothing()
  }

  /** Everything on a nonce that has bytes and is still open lost to what was mined there. */
  async function replaceRest(
    tx: Tx,
    losers: readonly Moved[],
    failure: string,
    block: { blockNumber: bigint | null; blockHash: Hash | null },
  ): Promise<void> {
    if (losers.length === 0) return
    const ids = losers.map(({ id }) => id)
    const which = and(eq(attempts.epoch, scope.key), inArray(attempts.id, ids))
    const change = { ...UNDECIDED, ...block, status: 'replaced', spent: usd(0n), failure } as const
    await release(tx, await move(tx, which, change))
    await endIntents(
      tx,
      losers.map(({ intentId }) => intentId),
    )
  }

  /** Takes back what was decided about a nonce. */
  async function takeBack(tx: Tx, id: AttemptId): Promise<AttemptRecord> {
    const { attempt, others } = await holdNonceOf(tx, id)
    if (judgeStep(attempt, { to: 'reorged' }) === 'keep') return readAttempt(tx, scope, id)
    const winner = others.find(({ status }) => isFinal(status))
    if (winner !== undefined && attempt.status === 'replaced')
      throw new StatusConflictError('attempt', id, attempt.status, `be reorged before ${winner.id}`)
    const alone = attempt.status === 'mined'
    const back = [attempt, ...(alone ? [] : others.filter(({ status }) => status === 'replaced'))]
    const which = and(
      eq(attempts.epoch, scope.key),
      inArray(
        attempts.id,
        back.map((one) => one.id),
      ),
    )
    const moved = await move(tx, which, { ...UNDECIDED, status: 'reorged' })
    await tx
      .delete(outcomes)
      .where(and(eq(outcomes.epoch, scope.key), eq(outcomes.attemptId, id), eq(outcomes.phase, 'actual')))
    await claim(tx, moved)
    await reopenIntents(
      tx,
      back.map(({ intentId }) => intentId),
    )
    return readAttempt(tx, scope, id)
  }

  return {
    async advance(id, step) {
      if (step.to === 'reorged') return scope.transaction('take a settlement back', (tx) => takeBack(tx, id))
      const change = {
        ...UNDECIDED,
        status: step.to,
        blockNumber: step.to === 'mined' ? step.block.number : null,
        blockHash: step.to === 'mined' ? step.block.hash : null,
        failure: step.to === 'unknown' ? step.failure : null,
      } as const
      const moved = await scope.query('move an attempt', (db) => moveAttempt(db, isAttempt(id), change))
      if (moved !== undefined) return moved
      // No arrow went there from where it was: it has no need to move, or must not.
      return scope.transaction('move an attempt', async (tx) => {
        const [held] = await tx.select().from(attempts).where(isAttempt(id)).for('update')
        if (held === undefined) throw new UnknownRecordError('attempt', id)
        if (judgeStep(held, step) === 'write') {
          if (held.status !== step.to) await moveAttempt(tx, isAttempt(id), change)
          // The same status once more is no step, only another reason.
          else await tx.update(attempts).set({ failure: change.failure, changedAt }).where(isAttempt(id))
        }
        return readAttempt(tx, scope, id)
      })
    },

    settle: (id, settlement) =>
      scope.transaction('settle an attempt', async (tx) => {
        const { attempt, others } = await holdNonceOf(tx, id)
        const isDone = judgeSettlement(attempt, settlement) === 'keep'
        if (settlement.status === 'dropped') {
          if (isDone) return readAttempt(tx, scope, id)
          const { status, failure } = settlement
          await release(tx, await move(tx, isAttempt(id), { status, failure, spent: usd(0n) }))
          await endIntents(tx, [attempt.intentId])
          return readAttempt(tx, scope, id)
        }
        const winner = others.find(({ status }) => isFinal(status))
        if (winner !== undefined)
          throw new StatusConflictError('attempt', id, attempt.status, `be mined beside ${winner.id}`)
        if (!isDone) {
          const { status, blockNumber, blockHash, spent, actual } = settlement
          const failure = status === 'failed' ? settlement.failure : null
          await move(tx, isAttempt(id), { status, blockNumber, blockHash, spent, failure })
          if (actual !== null)
            await tx.insert(outcomes).values({
              ...actual,
              epoch: scope.key,
              attemptId: id,
              phase: 'actual',
              balanceChanges: encodeBalanceChanges(actual.balanceChanges),
            })
          await endIntent(tx, attempt.intentId, settledIntent(attempt.purpose, settlement))
        }
        await replaceRest(tx, others, replacedBy(id), { blockNumber: null, blockHash: null })
        return readAttempt(tx, scope, id)
      }),

    supersede: (outside) =>
      scope.transaction('record a transaction from outside', async (tx) => {
        const held = await holdNonce(tx, outside)
        checkOutside(outside, held)
        const { number: blockNumber, hash: blockHash } = outside.block
        await replaceRest(tx, held, supersededBy(outside), { blockNumber, blockHash })
        return readAttempts(tx, and(onNonce(outside), eq(attempts.status, 'replaced')))
      }),
  }
}

function checkOutside({ hash }: OutsideTransaction, held: readonly AttemptRow[]): void {
  const own = held.find((row) => row.hash !== null && row.hash === hash?.toLowerCase())
  if (own !== undefined)
    throw new InvariantError('What is said to be from outside is an attempt of the journal.', {
      attempt: own.id,
    })
  const winner = held.find(({ status }) => isFinal(status))
  if (winner !== undefined)
    throw new StatusConflictError('attempt', winner.id, winner.status, 'be replaced from outside')
}
