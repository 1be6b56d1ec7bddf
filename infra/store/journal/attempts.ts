import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { AgentId, AttemptId, IntentId } from '../../../runtime/core/ids.ts'
import {
  type Journal,
  NonceTakenError,
  type PreparedAttempt,
  StatusConflictError,
  UnknownRecordError,
} from '../../../runtime/core/journal.ts'
import { encodeBalanceChanges, encodePlan } from '../json.ts'
import {
  adoptedPurpose,
  checkAdopted,
  checkPrepared,
  checkReplaceable,
  checkSameAttempt,
  heldNonces,
  noncesOf,
} from '../rules.ts'
import { attempts, intents, nonces, outcomes } from '../schema.ts'
import { storableAttempt, UNDECIDED } from '../storable.ts'
import { moveAttempt, readAttempt } from './attemptRows.ts'
import { fence, isFenced } from './leases.ts'
import type { Scope, Tx } from './scope.ts'

/** Attempts, up to where their bytes may be on the wire. All of it is under the account's lease. */
export function attemptMethods(scope: Scope): Pick<Journal, 'prepare' | 'sign' | 'adopt'> {
  const isAttempt = (id: AttemptId) => and(eq(attempts.epoch, scope.key), eq(attempts.id, id))
  const isIntent = (id: IntentId) => and(eq(intents.epoch, scope.key), eq(intents.id, id))
  const onNonceOf = ({ account, nonce }: Pick<PreparedAttempt, 'account' | 'nonce'>) =>
    and(eq(attempts.epoch, scope.key), eq(attempts.account, account), eq(attempts.nonce, nonce))
  const changedAt = sql`now()`

  /** @throws {UnknownRecordError | InvariantError | StatusConflictError} when it cannot be replaced. */
  async function holdReplaced(tx: Tx, id: AttemptId, by: PreparedAttempt): Promise<void> {
    const [replaced] = await tx.select().from(attempts).where(isAttempt(id)).for('update')
    if (replaced === undefined) throw new UnknownRecordError('attempt', id)
    checkReplaceable(replaced, by)
  }

  /** Moves an intent to `signed`, or finds it there because of what the attempt replaces. Gives its agent. */
  async function signIntent(tx: Tx, attempt: PreparedAttempt, id: IntentId): Promise<AgentId> {
    if (attempt.purpose === 'act') {
      const [signed] = await tx
        .update(intents)
        .set({ status: 'signed', changedAt })
        .where(and(isIntent(id), eq(intents.status, 'proposed')))
        .returning({ agent: intents.agent })
      if (signed !== undefined) return signed.agent
    }
    const [found] = await tx
      .select({ agent: intents.agent, status: intents.status })
      .from(intents)
      .where(isIntent(id))
      .for('update')
    if (found === undefined) throw new UnknownRecordError('intent', id)
    if (found.status !== 'signed' || attempt.replaces === null || !(await isOnNonce(tx, attempt, id)))
      throw new StatusConflictError('intent', id, found.status, 'be signed')
    return found.agent
  }

  const isOnNonce = async (tx: Tx, attempt: PreparedAttempt, id: IntentId): Promise<boolean> =>
    (await tx.$count(attempts, and(onNonceOf(attempt), eq(attempts.intentId, id)))) > 0

  const claims = (attempt: Pick<PreparedAttempt, 'id' | 'account' | 'nonce' | 'noncesUsed'>) =>
    noncesOf(attempt).map((nonce) => ({
      epoch: scope.key,
      account: attempt.account,
      nonce,
      attemptId: attempt.id,
    }))

  /** @throws {NonceTakenError} when one of its nonces is another's, and not one's that it may replace. */
  async function claim(tx: Tx, attempt: PreparedAttempt): Promise<void> {
    const wanted = noncesOf(attempt)
    const claimed = await tx
      .insert(nonces)
      .values(claims(attempt))
      .onConflictDoNothing()
      .returning({ nonce: nonces.nonce })
    const held = wanted.filter((nonce) => !claimed.some((claim) => claim.nonce === nonce))
    const taken = attempt.replaces === null ? held[0] : await findStranger(tx, attempt, held)
    if (taken !== undefined) throw new NonceTakenError(attempt.account, taken, attempt.id)
  }

  /** The first of several nonces that an attempt holds which begins on another nonce than this one. */
  async function findStranger(
    tx: Tx,
    attempt: PreparedAttempt,
    wanted: readonly bigint[],
  ): Promise<bigint | undefined> {
    if (wanted.length === 0) return undefined
    const others = await tx
      .select({ nonce: attempts.nonce, noncesUsed: attempts.noncesUsed, status: attempts.status })
      .from(attempts)
      .where(
        and(
          eq(attempts.epoch, scope.key),
          eq(attempts.account, attempt.account),
          inArray(
            attempts.nonce,
            wanted.flatMap((nonce) => (nonce === 0n ? [nonce] : [nonce - 1n, nonce])),
          ),
          ne(attempts.nonce, attempt.nonce),
        ),
      )
    return wanted.find((nonce) => others.some((other) => heldNonces(other).includes(nonce)))
  }

  async function insert(
    tx: Tx,
    { expected, plan, ...attempt }: PreparedAttempt,
    more: Pick<typeof attempts.$inferInsert, 'status' | 'agent' | 'raw' | 'hash'>,
  ): Promise<void> {
    await tx
      .insert(attempts)
      .values({ ...attempt, ...more, epoch: scope.key, owner: plan.account, plan: encodePlan(plan) })
    if (expected !== null)
      await tx.insert(outcomes).values({
        ...expected,
        epoch: scope.key,
        attemptId: attempt.id,
        phase: 'expected',
        balanceChanges: encodeBalanceChanges(expected.balanceChanges),
      })
  }

  return {
    async prepare(lease, attempt) {
      checkPrepared(lease, attempt)
      return scope.transaction('prepare an attempt', async (tx) => {
        await fence(scope, tx, lease)
        const [there] = await tx.select({ id: attempts.id }).from(attempts).where(isAttempt(attempt.id))
        if (there !== undefined) return readAttempt(tx, scope, attempt.id)
        if (attempt.replaces !== null) await holdReplaced(tx, attempt.replaces, attempt)
        const agent = attempt.intentId === null ? null : await signIntent(tx, attempt, attempt.intentId)
        await insert(tx, attempt, { status: 'prepared', agent })
        await claim(tx, attempt)
        return { ...storableAttempt(attempt), ...UNDECIDED, status: 'prepared', raw: null, hash: null }
      })
    },

    async sign(lease, id, { raw, hash }) {
      const bytes = { status: 'signed', raw, hash } as const
      const isTheirs = and(isAttempt(id), eq(attempts.account, lease.account))
      // All in one statement, for what it nearly always finds: the newest lease, and a prepared attempt of its account.
      const signed = await scope.query('store signed bytes', (db) =>
        moveAttempt(db, and(isTheirs, isFenced(scope, db, lease)), bytes),
      )
      if (signed !== undefined) return signed
      return scope.transaction('store signed bytes', async (tx) => {
        await fence(scope, tx, lease)
        const late = await moveAttempt(tx, isTheirs, bytes)
        if (late !== undefined) return late
        const attempt = await readAttempt(tx, scope, id)
        if (attempt.account !== lease.account)
          throw new InvariantError('The lease is on another account than the attempt.', { attempt: id })
        // Its nonces are free again: bytes that come now must not get out.
        if (attempt.status === 'dropped')
          throw new StatusConflictError('attempt', id, attempt.status, 'be signed')
        return attempt
      })
    },

    async adopt(lease, adopted) {
      checkAdopted(lease, adopted)
      return scope.transaction('take up signed bytes', async (tx) => {
        await fence(scope, tx, lease)
        const { raw, hash, ...attempt } = adopted
        const [stored] = await tx.select().from(attempts).where(isAttempt(attempt.id)).for('update')
        if (stored !== undefined) {
          if (stored.status === 'prepared') {
            checkSameAttempt(stored, adopted)
            await tx
              .update(attempts)
              .set({ status: 'signed', raw, hash, changedAt })
              .where(isAttempt(attempt.id))
          }
          return readAttempt(tx, scope, attempt.id)
        }
        const [intent] =
          attempt.intentId === null
            ? []
            : await tx
                .update(intents)
                .set({ status: 'signed', changedAt })
                .where(and(isIntent(attempt.intentId), inArray(intents.status, ['proposed', 'signed'])))
                .returning({ id: intents.id, agent: intents.agent })
        const isOurs = intent !== undefined
        const purpose = adoptedPurpose(attempt.plan, isOurs)
        const whole = { ...attempt, intentId: intent?.id ?? null, purpose, replaces: null, expected: null }
        await insert(tx, whole, { status: 'signed', agent: intent?.agent ?? null, raw, hash })
        // Whoever else is on its nonce: the bytes are there.
        await tx.insert(nonces).values(claims(attempt)).onConflictDoNothing()
        return readAttempt(tx, scope, attempt.id)
      })
    },
  }
}
