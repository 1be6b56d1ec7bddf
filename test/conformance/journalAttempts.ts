import { beforeEach, describe, expect, it } from 'vitest'
import { attemptId, intentId, runId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore } from '../../runtime/core/journal.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import {
  type Actor,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  cancelOf,
  confirmAttempt,
  emptyPlan,
  fakeAddress,
  fakeHash,
  fillOf,
  leaseOf,
  newAgent,
  newGenesis,
  proposeIntent,
  signAttempt,
} from './journalFixture.ts'

/**
 * What every implementation of the journal must do with attempts: from the claim of a nonce to their bytes.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalAttemptsConformance(getStore: () => JournalStore): void {
  let store: JournalStore
  let journal: Journal
  let actor: Actor
  beforeEach(async () => {
    store = getStore()
    journal = await store.open(CHAIN_ID, newGenesis())
    actor = { agent: newAgent(), account: fakeAddress('owner') }
  })
  const unknown = { code: 'UNKNOWN_RECORD' }
  const conflict = { code: 'STATUS_CONFLICT' }

  describe('attempts', () => {
    it('keeps the whole plan, exactly, before anyone signs', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const attempt = attemptOf(intent, actor.account, { noncesUsed: 2 })
      const prepared = await journal.prepare(lease, attempt)
      expect(prepared).toEqual({
        ...attempt,
        status: 'prepared',
        raw: null,
        hash: null,
        blockNumber: null,
        blockHash: null,
        actual: null,
        spent: null,
        failure: null,
      })
      expect((await journal.intent(intent))?.status).toBe('signed')
      expect(await journal.inFlight()).toEqual([prepared])
      expect(await journal.prepare(lease, { ...attempt, nonce: 99n })).toEqual(prepared)
    })

    it('keeps the first bytes', async () => {
      const attempt = await signAttempt(journal, actor, 1)
      expect(attempt).toMatchObject({ status: 'signed', ...bytesOf(attempt.id) })
      const lease = await leaseOf(journal, actor.account)
      expect(await journal.sign(lease, attempt.id, { raw: '0x1234', hash: fakeHash('other') })).toEqual(
        attempt,
      )
    })

    it('gives a nonce to one attempt, and both nonces of one that uses two', async () => {
      await signAttempt(journal, actor, 1, { nonce: 5n, noncesUsed: 2 })
      const lease = await leaseOf(journal, actor.account)
      for (const [n, nonce, noncesUsed] of [
        [2, 5n, 1],
        [3, 6n, 1],
        [4, 4n, 2],
      ] as const) {
        const { intent } = await proposeIntent(journal, actor, n)
        const attempt = attemptOf(intent, actor.account, { nonce, noncesUsed })
        await expect(journal.prepare(lease, attempt)).rejects.toMatchObject({ code: 'NONCE_TAKEN' })
        expect((await journal.intent(intent))?.status).toBe('proposed')
      }
      expect(await journal.counts()).toMatchObject({ attempts: 1 })
      const other = { ...actor, account: fakeAddress('another') }
      expect((await signAttempt(journal, other, 5, { nonce: 5n })).nonce).toBe(5n)
    })

    it('has one winner when many want the same nonce', async () => {
      const lease = await leaseOf(journal, actor.account)
      const intents = []
      for (let n = 1; n <= 8; n += 1) intents.push((await proposeIntent(journal, actor, n)).intent)
      const outcomes = await Promise.allSettled(
        intents.map((intent) => journal.prepare(lease, attemptOf(intent, actor.account, { nonce: 3n }))),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const result of outcomes)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'NONCE_TAKEN' })
      expect((await journal.openIntents()).length).toBe(7)
    })

    it('signs an intent once', async () => {
      const { intentId: intent } = await signAttempt(journal, actor, 1)
      const lease = await leaseOf(journal, actor.account)
      const second = { ...attemptOf(intent, actor.account, { nonce: 50n }), id: attemptId(intent, 2) }
      await expect(journal.prepare(lease, second)).rejects.toMatchObject(conflict)
      expect(await journal.expireIntent(intent)).toMatchObject({ status: 'signed' })
    })

    it('refuses an attempt under the lease of another account, or with a plan that is not its own', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const attempt = attemptOf(intent, actor.account)
      const elsewhere = await leaseOf(journal, fakeAddress('another'))
      const lease = await leaseOf(journal, actor.account)
      const invariant = { code: 'INVARIANT' }
      await expect(journal.prepare(elsewhere, attempt)).rejects.toMatchObject(invariant)
      await expect(journal.prepare(lease, { ...attempt, planHash: fakeHash('x') })).rejects.toMatchObject(
        invariant,
      )
      const empty = emptyPlan(intent, actor.account)
      const hollow = { ...attempt, plan: empty, planHash: planHash(empty) }
      await expect(journal.prepare(lease, hollow)).rejects.toMatchObject(invariant)
      for (const change of [{ purpose: 'adopted' }, { purpose: 'fill' }, { intentId: null }] as const)
        await expect(journal.prepare(lease, { ...attempt, ...change })).rejects.toMatchObject(invariant)
      const { replaces: _, ...cancel } = cancelOf({ ...(await signAttempt(journal, actor, 2)) }, 2)
      await expect(journal.prepare(lease, { ...cancel, replaces: null })).rejects.toMatchObject(invariant)
      await expect(
        journal.prepare(lease, fillOf(actor.account, 9n, 1, { nonce: 10n })),
      ).rejects.toMatchObject(invariant)
      await journal.prepare(lease, attempt)
      await expect(journal.sign(elsewhere, attempt.id, bytesOf(attempt.id))).rejects.toMatchObject(invariant)
      expect((await journal.attempts()).at(-1)?.status).toBe('prepared')
    })

    it('knows no attempt that was not prepared', async () => {
      const id = attemptId(intentId(runId(actor.agent, fakeHash('nowhere'))), 1)
      const lease = await leaseOf(journal, actor.account)
      await expect(journal.sign(lease, id, bytesOf(id))).rejects.toMatchObject(unknown)
      await expect(journal.advance(id, { to: 'broadcast' })).rejects.toMatchObject(unknown)
      await expect(journal.advance(id, { to: 'reorged' })).rejects.toMatchObject(unknown)
      await expect(journal.steps(id)).rejects.toMatchObject(unknown)
      await expect(journal.settle(id, { status: 'dropped', failure: 'x' })).rejects.toMatchObject(unknown)
    })

    it('counts the next nonce from the highest in use', async () => {
      expect(await journal.nextNonce(actor.account)).toBeNull()
      await signAttempt(journal, actor, 1, { nonce: 9n, noncesUsed: 2 })
      const { intent } = await proposeIntent(journal, actor, 2)
      const lease = await leaseOf(journal, actor.account)
      const last = await journal.prepare(lease, attemptOf(intent, actor.account, { nonce: 20n }))
      expect(await journal.nextNonce(actor.account)).toBe(21n)
      await journal.settle(last.id, { status: 'dropped', failure: 'another took it' })
      expect(await journal.nextNonce(actor.account)).toBe(11n)
    })

    it('lists what is in flight, the oldest nonce first', async () => {
      const other = { agent: newAgent(), account: fakeAddress('another') }
      await signAttempt(journal, actor, 1, { nonce: 12n })
      await signAttempt(journal, other, 2, { nonce: 1n })
      const done = await signAttempt(journal, actor, 3, { nonce: 2n })
      await signAttempt(journal, actor, 4, { nonce: 10n })
      await confirmAttempt(journal, done.id)
      expect((await journal.inFlight(actor.account)).map(({ nonce }) => nonce)).toEqual([10n, 12n])
      expect((await journal.inFlight()).map(({ nonce }) => nonce)).toEqual([1n, 10n, 12n])
      expect((await journal.attempts(other.agent)).map(({ nonce }) => nonce)).toEqual([1n])
    })
  })
}
