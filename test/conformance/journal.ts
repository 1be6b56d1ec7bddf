import { beforeEach, describe, expect, it } from 'vitest'
import { intentId, runId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore } from '../../runtime/core/journal.ts'
import { journalApprovalsConformance } from './journalApprovals.ts'
import { journalAttemptsConformance } from './journalAttempts.ts'
import {
  type Actor,
  action,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  confirmAttempt,
  decision,
  denial,
  fakeAddress,
  fakeHash,
  leaseOf,
  newAgent,
  newGenesis,
  nothing,
  proposeIntent,
  runOf,
  signAttempt,
  verdict,
} from './journalFixture.ts'
import { journalHistoryConformance } from './journalHistory.ts'
import { journalMovementConformance } from './journalMovement.ts'

/**
 * What every implementation of the journal must do.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalConformance(getStore: () => JournalStore): void {
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

  describe('epochs', () => {
    it('opens the same epoch for the same chain and genesis', async () => {
      const genesis = newGenesis()
      const one = await store.open(CHAIN_ID, genesis)
      await one.startRun(runOf(actor, 1))
      const again = await store.open(CHAIN_ID, genesis)
      expect(again.epoch).toBe(one.epoch)
      expect(await again.counts()).toEqual({ runs: 1, intents: 0, attempts: 0 })
    })

    it('keeps the same ids apart in two epochs', async () => {
      const other = await store.open(CHAIN_ID, newGenesis())
      const first = await signAttempt(journal, actor, 1)
      expect(await other.runs()).toEqual([])
      expect(await other.intent(first.intentId)).toBeNull()
      expect(await other.nextNonce(actor.account)).toBeNull()
      const second = await signAttempt(other, actor, 1)
      expect(second.id).toBe(first.id)
      await confirmAttempt(journal, first.id)
      expect((await other.attempts())[0]?.status).toBe('signed')
      expect((await other.history(actor.agent, actor.account, 0n)).inFlight).toBe(1)
    })
  })

  describe('runs', () => {
    it('starts a run once', async () => {
      const run = runOf(actor, 1)
      const started = await journal.startRun(run)
      expect(started).toEqual({ ...run, status: 'started', decision: null, error: null })
      expect(await journal.startRun({ ...run, blockNumber: 99n })).toEqual(started)
      expect(await journal.runs()).toEqual([started])
    })

    it('gives addresses back with their checksum', async () => {
      const run = runOf({ ...actor, account: actor.account.toLowerCase() as typeof actor.account }, 1)
      expect((await journal.startRun(run)).account).toBe(actor.account)
    })

    it('keeps the first decision, and the intent with it', async () => {
      const { id } = await journal.startRun(runOf(actor, 1))
      const intent = { id: intentId(id), action }
      const decided = await journal.decide(id, decision, intent)
      expect(decided).toMatchObject({ status: 'decided', decision })
      expect(await journal.decide(id, nothing, null)).toEqual(decided)
      expect(await journal.runs()).toEqual([decided])
      expect(await journal.intent(intent.id)).toEqual({
        id: intent.id,
        runId: id,
        ...actor,
        action,
        status: 'proposed',
        decidedOnBlock: 1n,
        verdicts: [],
      })
    })

    it('keeps a decision to do nothing, and figures of 78 digits, exactly', async () => {
      const { id } = await journal.startRun(runOf(actor, 1))
      await journal.decide(id, nothing, null)
      expect((await journal.runs())[0]?.decision).toEqual(nothing)
      expect(await journal.intents()).toEqual([])
    })

    it('has one winner when many decide at once', async () => {
      const { id } = await journal.startRun(runOf(actor, 1))
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          journal.decide(id, { ...decision, candidates: n }, { id: intentId(id), action }),
        ),
      )
      expect(new Set(answers.map((run) => run.decision?.candidates)).size).toBe(1)
      expect(await journal.counts()).toEqual({ runs: 1, intents: 1, attempts: 0 })
    })

    it('refuses a decision whose intent is of another kind, and one that falls back without a reason', async () => {
      const { id } = await journal.startRun(runOf(actor, 1))
      await expect(journal.decide(id, decision, null)).rejects.toMatchObject({ code: 'INVARIANT' })
      await expect(journal.decide(id, nothing, { id: intentId(id), action })).rejects.toMatchObject({
        code: 'INVARIANT',
      })
      await expect(journal.decide(id, { ...nothing, source: 'fallback' }, null)).rejects.toMatchObject({
        code: 'INVARIANT',
      })
      expect((await journal.runs())[0]?.status).toBe('started')
    })

    it('starts a failed run again, and remembers why it failed', async () => {
      const run = runOf(actor, 1)
      await journal.startRun(run)
      await journal.failRun(run.id, 'the RPC was down')
      expect(await journal.runs()).toMatchObject([{ status: 'failed', error: 'the RPC was down' }])
      expect(await journal.startRun(run)).toMatchObject({ status: 'started', error: 'the RPC was down' })
      expect(await journal.decide(run.id, nothing, null)).toMatchObject({ status: 'decided' })
    })

    it('lets a late decision stand after a failure, and a late failure change no decision', async () => {
      const { id } = await journal.startRun(runOf(actor, 1))
      await journal.failRun(id, 'stalled')
      expect(await journal.decide(id, nothing, null)).toMatchObject({ status: 'decided', decision: nothing })
      await journal.failRun(id, 'too late')
      expect(await journal.startRun(runOf(actor, 1))).toMatchObject({ status: 'decided', error: 'too late' })
    })

    it('knows no run that was not started', async () => {
      const id = runId(actor.agent, fakeHash('nowhere'))
      await expect(journal.decide(id, nothing, null)).rejects.toMatchObject(unknown)
      await expect(journal.failRun(id, 'why')).rejects.toMatchObject(unknown)
    })

    it('takes text that a database cannot hold', async () => {
      const run = runOf(actor, 1)
      await journal.startRun(run)
      await journal.failRun(run.id, 'NUL \0 and half a pair \ud83d, but a whole one \u{1f600}')
      expect((await journal.runs())[0]?.error).toBe(
        'NUL \ufffd and half a pair \ufffd, but a whole one \u{1f600}',
      )
    })
  })

  describe('intents', () => {
    it('collects verdicts in their order, the same one right after itself once', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const effect = { ...verdict, phase: 'effect' as const }
      await journal.recordVerdict(intent, verdict, 'proposed')
      await journal.recordVerdict(intent, verdict, 'proposed')
      await journal.recordVerdict(intent, effect, 'proposed')
      const recorded = await journal.recordVerdict(intent, verdict, 'proposed')
      expect(recorded).toMatchObject({ status: 'proposed', verdicts: [verdict, effect, verdict] })
      expect(await journal.intent(intent)).toEqual(recorded)
    })

    it('keeps a denial for good', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const denied = await journal.recordVerdict(intent, denial, 'denied')
      expect(denied).toMatchObject({ status: 'denied', verdicts: [denial] })
      expect(await journal.recordVerdict(intent, verdict, 'proposed')).toEqual(denied)
      expect(await journal.expireIntent(intent)).toEqual(denied)
      const lease = await leaseOf(journal, actor.account)
      await expect(journal.prepare(lease, attemptOf(intent, actor.account))).rejects.toMatchObject(conflict)
    })

    it('expires what is proposed', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const expired = await journal.expireIntent(intent)
      expect(expired.status).toBe('expired')
      expect(await journal.expireIntent(intent)).toEqual(expired)
      expect(await journal.openIntents()).toEqual([])
    })

    it('finds what a restart has to take up, and nothing else', async () => {
      const { intent: open } = await proposeIntent(journal, actor, 1)
      const { intent: denied } = await proposeIntent(journal, actor, 2)
      await journal.recordVerdict(denied, denial, 'denied')
      await signAttempt(journal, actor, 3)
      expect((await journal.openIntents()).map(({ id }) => id)).toEqual([open])
    })

    it('knows no intent that was not proposed', async () => {
      const id = intentId(runId(actor.agent, fakeHash('nowhere')))
      expect(await journal.intent(id)).toBeNull()
      await expect(journal.recordVerdict(id, verdict, 'proposed')).rejects.toMatchObject(unknown)
      await expect(journal.expireIntent(id)).rejects.toMatchObject(unknown)
      const lease = await leaseOf(journal, actor.account)
      await expect(journal.prepare(lease, attemptOf(id, actor.account))).rejects.toMatchObject(unknown)
    })
  })

  describe('leases', () => {
    it('gives an account to one holder at a time', async () => {
      const lease = await journal.acquireLease(actor.account, 'one', 3_600)
      expect(lease).toMatchObject({ account: actor.account, holder: 'one' })
      expect(await journal.acquireLease(actor.account, 'two', 3_600)).toBeNull()
      expect(await journal.acquireLease(actor.account, 'one', 3_600)).toEqual(lease)
      expect(await journal.acquireLease(fakeAddress('another'), 'two', 3_600)).not.toBeNull()
    })

    it('passes on when its time is over or it is released, with a higher token', async () => {
      const one = await journal.acquireLease(actor.account, 'one', 0)
      const two = await journal.acquireLease(actor.account, 'two', 3_600)
      if (one === null || two === null) return expect.unreachable()
      expect(two.token).toBeGreaterThan(one.token)
      await journal.releaseLease(one)
      expect(await journal.acquireLease(actor.account, 'three', 3_600)).toBeNull()
      await journal.releaseLease(two)
      const three = await journal.acquireLease(actor.account, 'three', 3_600)
      expect(three?.token).toBeGreaterThan(two.token)
    })

    it('has one winner when many ask at once', async () => {
      const leases = await Promise.all(
        Array.from({ length: 8 }, (_, n) => journal.acquireLease(actor.account, `holder-${n}`, 3_600)),
      )
      expect(leases.filter((lease) => lease !== null)).toHaveLength(1)
    })

    it('grows its tokens from one epoch to the next', async () => {
      const before = await leaseOf(journal, actor.account)
      const after = await leaseOf(await store.open(CHAIN_ID, newGenesis()), actor.account)
      expect(after.token).toBeGreaterThan(before.token)
    })

    it('fences off whoever lost it', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const old = await journal.acquireLease(actor.account, 'old', 0)
      if (old === null) return expect.unreachable()
      const attempt = attemptOf(intent, actor.account)
      await journal.prepare(old, attempt)
      await leaseOf(journal, actor.account, 'new')
      const fenced = { code: 'FENCED' }
      await expect(journal.sign(old, attempt.id, bytesOf(attempt.id))).rejects.toMatchObject(fenced)
      await expect(journal.prepare(old, attempt)).rejects.toMatchObject(fenced)
      expect((await journal.attempts())[0]).toMatchObject({ status: 'prepared', raw: null })
    })
  })

  journalHistoryConformance(getStore)
  journalAttemptsConformance(getStore)
  journalApprovalsConformance(getStore)
  journalMovementConformance(getStore)
}
