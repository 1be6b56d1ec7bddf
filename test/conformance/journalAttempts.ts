import { zeroAddress } from 'viem'
import { beforeEach, describe, expect, it } from 'vitest'
import { attemptId, intentId, runId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore, Settlement } from '../../runtime/core/journal.ts'
import {
  type Actor,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  fakeAddress,
  fakeHash,
  leaseOf,
  mined,
  newAgent,
  newGenesis,
  outcome,
  proposeIntent,
  signAttempt,
} from './journalFixture.ts'

/**
 * What every implementation of the journal must do with attempts: from the claim of a nonce to what became of it.
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
      await journal.prepare(lease, attempt)
      await expect(journal.sign(elsewhere, attempt.id, bytesOf(attempt.id))).rejects.toMatchObject(invariant)
      expect((await journal.attempts())[0]?.status).toBe('prepared')
    })

    it('knows no attempt that was not prepared', async () => {
      const id = attemptId(intentId(runId(actor.agent, fakeHash('nowhere'))), 1)
      const lease = await leaseOf(journal, actor.account)
      await expect(journal.sign(lease, id, bytesOf(id))).rejects.toMatchObject(unknown)
      await expect(journal.markBroadcast(id)).rejects.toMatchObject(unknown)
      await expect(journal.settle(id, { status: 'dropped', failure: 'x' })).rejects.toMatchObject(unknown)
    })

    it('counts the next nonce from the highest in use', async () => {
      expect(await journal.nextNonce(actor.account)).toBeNull()
      await signAttempt(journal, actor, 1, { nonce: 9n, noncesUsed: 2 })
      const last = await signAttempt(journal, actor, 2, { nonce: 20n })
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
      await journal.settle(done.id, { status: 'confirmed', ...mined, deviated: false })
      expect((await journal.inFlight(actor.account)).map(({ nonce }) => nonce)).toEqual([10n, 12n])
      expect((await journal.inFlight()).map(({ nonce }) => nonce)).toEqual([1n, 10n, 12n])
      expect((await journal.attempts(other.agent)).map(({ nonce }) => nonce)).toEqual([1n])
    })
  })

  describe('settlement', () => {
    const settlements: readonly (readonly [intent: string, Settlement, attempt: object])[] = [
      [
        'done',
        { status: 'confirmed', ...mined, deviated: false },
        { status: 'confirmed', ...mined, failure: null },
      ],
      [
        'deviated',
        { status: 'confirmed', ...mined, deviated: true },
        { status: 'confirmed', ...mined, failure: null },
      ],
      [
        'reverted',
        { status: 'reverted', ...mined, failure: 'Assert: health factor' },
        { status: 'reverted', ...mined, failure: 'Assert: health factor' },
      ],
      [
        'expired',
        { status: 'dropped', failure: 'another transaction' },
        { status: 'dropped', blockNumber: null, actual: null, spent: 0n, failure: 'another transaction' },
      ],
      [
        'signed',
        { status: 'unknown', failure: 'no receipt' },
        { status: 'unknown', blockNumber: null, actual: null, spent: null, failure: 'no receipt' },
      ],
    ]

    it.each(settlements)('leaves the intent %s', async (intent, settlement, attempt) => {
      const { id, intentId } = await signAttempt(journal, actor, 1)
      await journal.markBroadcast(id)
      const settled = await journal.settle(id, settlement)
      expect(settled).toMatchObject(attempt)
      expect((await journal.intent(intentId))?.status).toBe(intent)
      expect(await journal.settle(id, settlement)).toEqual(settled)
      expect(await journal.attempts()).toEqual([settled])
      expect(await journal.inFlight()).toEqual(settlement.status === 'unknown' ? [settled] : [])
    })

    it('lets an unknown outcome become known', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      await journal.settle(id, { status: 'unknown', failure: 'no receipt' })
      expect(await journal.settle(id, { status: 'confirmed', ...mined, deviated: false })).toMatchObject({
        status: 'confirmed',
        failure: null,
      })
    })

    it('never goes back, and takes no contradiction', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      const settled = await journal.settle(id, { status: 'reverted', ...mined, failure: 'x' })
      expect(await journal.settle(id, { status: 'unknown', failure: 'no receipt' })).toEqual(settled)
      await expect(journal.settle(id, { status: 'dropped', failure: 'x' })).rejects.toMatchObject(conflict)
      await expect(
        journal.settle(id, { status: 'confirmed', ...mined, deviated: false }),
      ).rejects.toMatchObject(conflict)
      await journal.markBroadcast(id)
      const lease = await leaseOf(journal, actor.account)
      await journal.sign(lease, id, bytesOf(id))
      expect(await journal.attempts()).toEqual([settled])
    })

    it('can only drop what no one may have signed, and lets no bytes of it out afterwards', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, attemptOf(intent, actor.account))
      await expect(journal.markBroadcast(id)).rejects.toMatchObject(conflict)
      for (const [, settlement] of settlements)
        if (settlement.status !== 'dropped')
          await expect(journal.settle(id, settlement)).rejects.toMatchObject(conflict)
      await journal.settle(id, { status: 'dropped', failure: 'never signed' })
      await expect(journal.sign(lease, id, bytesOf(id))).rejects.toMatchObject(conflict)
      const { intent: next } = await proposeIntent(journal, actor, 2)
      expect(await journal.prepare(lease, attemptOf(next, actor.account))).toMatchObject({ nonce: 7n })
    })

    it('takes an outcome that could not be measured any more', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      const settlement = { status: 'confirmed', ...mined, actual: null, deviated: true } as const
      const settled = await journal.settle(id, settlement)
      expect(settled).toMatchObject({
        status: 'confirmed',
        actual: null,
        spent: mined.spent,
        expected: outcome,
      })
      expect(await journal.attempts()).toEqual([settled])
    })

    it('keeps changes of balance in their order and with their signs', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      const actual = {
        ...outcome,
        balanceChanges: [{ token: zeroAddress, change: -1n }, ...outcome.balanceChanges],
      }
      const settled = await journal.settle(id, { status: 'confirmed', ...mined, actual, deviated: false })
      expect(settled.actual).toEqual(actual)
      expect(settled.expected).toEqual(outcome)
    })
  })
}
