import { beforeEach, describe, expect, it } from 'vitest'
import type { OutsideTransaction } from '../../runtime/core/attempts.ts'
import type { IntentId } from '../../runtime/core/ids.ts'
import type { AttemptRecord, AttemptStatus, Journal, JournalStore } from '../../runtime/core/journal.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import { usd } from '../../runtime/core/units.ts'
import {
  type Actor,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  cancelOf,
  confirmAttempt,
  denial,
  emptyPlan,
  fakeAddress,
  fakeHash,
  fillOf,
  inBlock,
  inLedger,
  leaseOf,
  mined,
  newAgent,
  newGenesis,
  prepareAndSign,
  proposeIntent,
  replacementOf,
  runOf,
  signAttempt,
} from './journalFixture.ts'

/**
 * What every implementation of the journal must do where several attempts meet on one nonce: replacements, cancels,
 * fills, what is found in the signer's ledger, what happens outside of Rialto, and what a reorganisation takes back.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalNonceConformance(getStore: () => JournalStore): void {
  let journal: Journal
  let actor: Actor
  beforeEach(async () => {
    journal = await getStore().open(CHAIN_ID, newGenesis())
    actor = { agent: newAgent(), account: fakeAddress('owner') }
  })
  const conflict = { code: 'STATUS_CONFLICT' }
  const invariant = { code: 'INVARIANT' }
  const taken = { code: 'NONCE_TAKEN' }
  const statuses = async (): Promise<AttemptStatus[]> =>
    (await journal.attempts()).map(({ status }) => status)
  const intentStatus = async (id: IntentId) => (await journal.intent(id))?.status
  const outside = (changes: Partial<OutsideTransaction> = {}): OutsideTransaction => ({
    account: actor.account,
    nonce: 1n,
    hash: fakeHash('a stranger'),
    block: inBlock.block,
    ...changes,
  })

  describe('a replacement', () => {
    it('shares the nonce and the intent; whichever is mined decides, and the rest is replaced', async () => {
      const first = await signAttempt(journal, actor, 1, { noncesUsed: 2 })
      const second = await prepareAndSign(journal, replacementOf(first, 2, { noncesUsed: 2 }))
      const third = await prepareAndSign(journal, replacementOf(first, 3, { replaces: second.id }))
      expect(third).toMatchObject({ status: 'signed', nonce: 1n, replaces: second.id })
      expect((await journal.inFlight()).map(({ id }) => id)).toEqual([first.id, second.id, third.id])
      const confirmed = await confirmAttempt(journal, second.id)
      expect(await statuses()).toEqual(['replaced', 'confirmed', 'replaced'])
      expect((await journal.attempts())[0]).toMatchObject({
        blockNumber: null,
        spent: 0n,
        failure: `${second.id} was mined on its nonce`,
      })
      expect(await intentStatus(first.intentId)).toBe('done')
      expect(await journal.settledFrom(0n)).toEqual([confirmed])
      expect(await journal.history(actor.agent, actor.account, 0n)).toMatchObject({
        spent: mined.spent,
        inFlight: 0,
      })
    })

    it('needs an open attempt with bytes, on its own nonce, and an intent of that nonce', async () => {
      const first = await signAttempt(journal, actor, 1)
      const elsewhere = await signAttempt(journal, actor, 2)
      const lease = await leaseOf(journal, actor.account)
      const prepare = (...given: Parameters<typeof replacementOf>) =>
        journal.prepare(lease, replacementOf(...given))
      await expect(prepare(first, 2, { replaces: elsewhere.id })).rejects.toMatchObject(invariant)
      await expect(prepare(first, 2, { replaces: bytesOf(first.id).hash as never })).rejects.toMatchObject({
        code: 'UNKNOWN_RECORD',
      })
      const { id: second } = await prepare(first, 2)
      await expect(prepare(first, 3, { replaces: second })).rejects.toMatchObject(conflict)
      // Another intent that is signed elsewhere gets no second nonce this way.
      const intruder = { ...attemptOf(elsewhere.intentId, actor.account), id: second, nonce: 1n }
      await expect(
        journal.prepare(lease, { ...intruder, id: `${elsewhere.id}0` as never, replaces: first.id }),
      ).rejects.toMatchObject(conflict)
      await confirmAttempt(journal, first.id)
      await expect(prepare(first, 4)).rejects.toMatchObject(conflict)
    })

    it('claims a second nonce only where it is free', async () => {
      const first = await signAttempt(journal, actor, 1, { nonce: 5n })
      await signAttempt(journal, actor, 2, { nonce: 6n })
      const lease = await leaseOf(journal, actor.account)
      const wide = replacementOf(first, 2, { noncesUsed: 2 })
      await expect(journal.prepare(lease, wide)).rejects.toMatchObject(taken)
      expect(await journal.counts()).toMatchObject({ attempts: 2 })
    })

    it('may be of a proposed intent, which takes the nonce over', async () => {
      const first = await signAttempt(journal, actor, 1)
      const { intent } = await proposeIntent(journal, actor, 2)
      const rescue = attemptOf(intent, actor.account, { nonce: 1n, replaces: first.id })
      const { id } = await prepareAndSign(journal, rescue)
      expect(await intentStatus(intent)).toBe('signed')
      await confirmAttempt(journal, id)
      expect(await intentStatus(intent)).toBe('done')
      expect(await intentStatus(first.intentId)).toBe('expired')
    })

    it('that is dropped leaves intent and nonce to the first', async () => {
      const first = await signAttempt(journal, actor, 1, { noncesUsed: 2 })
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, replacementOf(first, 2, { noncesUsed: 2 }))
      await journal.settle(id, { status: 'dropped', failure: 'refused' })
      expect(await intentStatus(first.intentId)).toBe('signed')
      expect(await journal.nextNonce(actor.account)).toBe(3n)
      const { intent } = await proposeIntent(journal, actor, 2)
      await expect(
        journal.prepare(lease, attemptOf(intent, actor.account, { nonce: 2n })),
      ).rejects.toMatchObject(taken)
      expect((await prepareAndSign(journal, replacementOf(first, 3))).status).toBe('signed')
    })

    it('that is signed when all is decided is replaced by the same settlement', async () => {
      const first = await signAttempt(journal, actor, 1)
      const lease = await leaseOf(journal, actor.account)
      const { id: late } = await journal.prepare(lease, replacementOf(first, 2))
      await confirmAttempt(journal, first.id)
      // The signer may have signed it: only it can say.
      expect(await statuses()).toEqual(['confirmed', 'prepared'])
      await journal.sign(lease, late, bytesOf(late))
      await journal.advance(late, inBlock)
      await expect(
        journal.settle(late, { status: 'confirmed', ...mined, deviated: false }),
      ).rejects.toMatchObject(conflict)
      await journal.settle(first.id, { status: 'confirmed', ...mined, deviated: false })
      expect(await statuses()).toEqual(['confirmed', 'replaced'])
      expect(await intentStatus(first.intentId)).toBe('done')
    })
  })

  describe('a cancel', () => {
    it('expires the intent when it is mined, and not when the act is', async () => {
      for (const winner of ['act', 'cancel'] as const) {
        journal = await getStore().open(CHAIN_ID, newGenesis())
        const act = await signAttempt(journal, actor, 1)
        const cancel = await prepareAndSign(journal, cancelOf(act, 2))
        expect(cancel).toMatchObject({ purpose: 'cancel', expected: null })
        await confirmAttempt(journal, winner === 'act' ? act.id : cancel.id)
        expect(await intentStatus(act.intentId)).toBe(winner === 'act' ? 'done' : 'expired')
      }
    })
  })

  describe('a fill', () => {
    it('takes a free nonce for no intent, and can be replaced by another', async () => {
      const held = await signAttempt(journal, actor, 1)
      const lease = await leaseOf(journal, actor.account)
      await expect(journal.prepare(lease, fillOf(actor.account, 1n))).rejects.toMatchObject(taken)
      await expect(
        journal.prepare(lease, fillOf(actor.account, 1n, 1, { replaces: held.id })),
      ).rejects.toMatchObject(invariant)
      const first = await prepareAndSign(journal, fillOf(actor.account, 2n))
      expect(first).toMatchObject({ purpose: 'fill', intentId: null, expected: null })
      const second = await prepareAndSign(journal, fillOf(actor.account, 2n, 2, { replaces: first.id }))
      await confirmAttempt(journal, second.id)
      expect(await statuses()).toEqual(['signed', 'replaced', 'confirmed'])
      expect(await journal.attempts(actor.agent)).toEqual([held])
      expect(await journal.nextNonce(actor.account)).toBe(3n)
    })
  })

  describe('what is adopted', () => {
    const adopt = async (attempt: Parameters<typeof inLedger>[0]): Promise<AttemptRecord> =>
      journal.adopt(await leaseOf(journal, actor.account), inLedger(attempt))

    it('gives a prepared attempt its bytes, and leaves alone what has them', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const attempt = attemptOf(intent, actor.account)
      const prepared = await journal.prepare(await leaseOf(journal, actor.account), attempt)
      const signed = await adopt(attempt)
      expect(signed).toEqual({ ...prepared, status: 'signed', ...bytesOf(attempt.id) })
      await journal.advance(attempt.id, { to: 'pending' })
      expect(await adopt(attempt)).toEqual({ ...signed, status: 'pending' })
      const other = attemptOf((await proposeIntent(journal, actor, 2)).intent, actor.account, { nonce: 8n })
      await journal.prepare(await leaseOf(journal, actor.account), other)
      await expect(adopt({ ...other, nonce: 9n })).rejects.toMatchObject(invariant)
    })

    it.each(['proposed', 'signed'] as const)('is of its intent when that is %s', async (status) => {
      const { intent } = await proposeIntent(journal, actor)
      const first = attemptOf(intent, actor.account)
      if (status === 'signed') await prepareAndSign(journal, first)
      const attempt = { ...first, id: `${intent}.2` as typeof first.id }
      expect(await adopt(attempt)).toEqual({
        ...attempt,
        ...bytesOf(attempt.id),
        status: 'signed',
        purpose: 'act',
        expected: null,
        blockNumber: null,
        blockHash: null,
        actual: null,
        spent: null,
        failure: null,
      })
      expect(await intentStatus(intent)).toBe('signed')
      expect(await journal.steps(attempt.id)).toEqual([{ from: null, to: 'signed' }])
      const plan = emptyPlan(intent, actor.account)
      const cancel = { ...first, id: `${intent}.3` as typeof first.id, plan, planHash: planHash(plan) }
      expect(await adopt(cancel)).toMatchObject({ purpose: 'cancel', intentId: intent })
    })

    it('has no intent when the journal lacks it, or is done with it', async () => {
      const { intent: denied } = await proposeIntent(journal, actor)
      await journal.recordVerdict(denied, denial, 'denied')
      for (const [n, intent] of [denied, runOf(actor, 9).id as string as IntentId].entries()) {
        const attempt = attemptOf(intent, actor.account, { nonce: BigInt(n) })
        expect(await adopt(attempt)).toMatchObject({ purpose: 'adopted', intentId: null, status: 'signed' })
        const plan = emptyPlan(intent, actor.account)
        const empty = { ...attempt, id: `${attempt.id}.e` as never, plan, planHash: planHash(plan) }
        expect(await adopt(empty)).toMatchObject({ purpose: 'fill', intentId: null })
      }
      expect(await intentStatus(denied)).toBe('denied')
      expect(await journal.nextNonce(actor.account)).toBe(2n)
    })

    it('joins the nonce, whoever holds it, and keeps it when the other is dropped', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, attemptOf(intent, actor.account, { nonce: 3n }))
      const theirs = attemptOf(runOf(actor, 9).id as string as IntentId, actor.account, { nonce: 3n })
      await adopt(theirs)
      await journal.settle(id, { status: 'dropped', failure: 'the protector was first' })
      expect(await intentStatus(intent)).toBe('expired')
      expect(await journal.nextNonce(actor.account)).toBe(4n)
      const { intent: next } = await proposeIntent(journal, actor, 2)
      const late = attemptOf(next, actor.account, { nonce: 3n })
      await expect(journal.prepare(lease, late)).rejects.toMatchObject(taken)
      await confirmAttempt(journal, theirs.id)
      expect(await statuses()).toEqual(['dropped', 'confirmed'])
    })

    it('is fenced, and is about its own plan', async () => {
      const old = await leaseOf(journal, actor.account, 'old')
      await journal.releaseLease(old)
      await leaseOf(journal, actor.account, 'new')
      const ledger = inLedger(attemptOf((await proposeIntent(journal, actor)).intent, actor.account))
      await expect(journal.adopt(old, ledger)).rejects.toMatchObject({ code: 'FENCED' })
      await expect(journal.adopt(old, { ...ledger, planHash: fakeHash('x') })).rejects.toMatchObject(
        invariant,
      )
      expect(await journal.counts()).toMatchObject({ attempts: 0 })
    })
  })

  describe('what happens outside of Rialto', () => {
    it('replaces everything on the nonce, expires the intents and frees their second nonce', async () => {
      const first = await signAttempt(journal, actor, 1, { noncesUsed: 2, reserved: usd(50n) })
      const second = await prepareAndSign(journal, replacementOf(first, 2, { noncesUsed: 2 }))
      await journal.advance(second.id, inBlock)
      const replaced = await journal.supersede(outside())
      expect(replaced).toEqual(await journal.attempts())
      for (const attempt of replaced)
        expect(attempt).toMatchObject({
          status: 'replaced',
          spent: 0n,
          blockNumber: mined.blockNumber,
          blockHash: mined.blockHash,
          failure: `transaction ${fakeHash('a stranger')} outside of Rialto used its nonce`,
        })
      expect(await intentStatus(first.intentId)).toBe('expired')
      expect(await journal.nextNonce(actor.account)).toBe(2n)
      expect((await signAttempt(journal, actor, 2, { nonce: 2n })).status).toBe('signed')
      expect(await journal.supersede(outside())).toEqual(replaced)
      expect(await journal.supersede(outside({ nonce: 99n }))).toEqual([])
      expect(await journal.settledFrom(mined.blockNumber, actor.account)).toEqual(replaced)
      expect(await journal.settledFrom(mined.blockNumber + 1n)).toEqual([])
    })

    it('is nothing that the journal itself sent, nor anything beside what is mined for good', async () => {
      const { id, hash } = await signAttempt(journal, actor, 1)
      await expect(journal.supersede(outside({ hash }))).rejects.toMatchObject(invariant)
      await confirmAttempt(journal, id)
      await expect(journal.supersede(outside())).rejects.toMatchObject(conflict)
    })

    it('leaves what is only prepared to its signer, and the intent with it', async () => {
      const first = await signAttempt(journal, actor, 1)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, replacementOf(first, 2))
      await journal.supersede(outside({ hash: null }))
      expect(await statuses()).toEqual(['replaced', 'prepared'])
      expect(await intentStatus(first.intentId)).toBe('signed')
      await journal.settle(id, { status: 'dropped', failure: 'its nonce is used' })
      expect(await intentStatus(first.intentId)).toBe('expired')
    })
  })

  describe('a reorganisation', () => {
    it('takes a settlement back, with all that it replaced', async () => {
      const first = await signAttempt(journal, actor, 1, { noncesUsed: 2, reserved: usd(50n) })
      const second = await prepareAndSign(journal, replacementOf(first, 2, { reserved: usd(60n) }))
      await confirmAttempt(journal, second.id)
      expect(await journal.nextNonce(actor.account)).toBe(2n)
      await expect(journal.advance(first.id, { to: 'reorged' })).rejects.toMatchObject(conflict)
      const back = await journal.advance(second.id, { to: 'reorged' })
      expect(back).toEqual({ ...second, status: 'reorged' })
      expect(await statuses()).toEqual(['reorged', 'reorged'])
      expect(await intentStatus(first.intentId)).toBe('signed')
      expect(await journal.advance(second.id, { to: 'reorged' })).toEqual(back)
      expect(await journal.nextNonce(actor.account)).toBe(3n)
      expect(await journal.history(actor.agent, actor.account, 0n)).toMatchObject({ spent: 60n, inFlight: 1 })
      expect(await journal.settledFrom(0n)).toEqual([])
      // This time the other one is mined, and reverts.
      await journal.advance(first.id, inBlock)
      await journal.settle(first.id, { status: 'failed', ...mined, failure: 'reverted' })
      expect(await statuses()).toEqual(['failed', 'replaced'])
      expect(await intentStatus(first.intentId)).toBe('reverted')
    })

    it('takes back what was replaced from outside, and only a block’s own attempt while nothing is settled', async () => {
      const first = await signAttempt(journal, actor, 1)
      const second = await prepareAndSign(journal, cancelOf(first, 2))
      await journal.advance(first.id, inBlock)
      await journal.advance(first.id, { to: 'reorged' })
      expect(await statuses()).toEqual(['reorged', 'signed'])
      await journal.supersede(outside())
      await journal.advance(second.id, { to: 'reorged' })
      expect(await statuses()).toEqual(['reorged', 'reorged'])
      expect(await intentStatus(first.intentId)).toBe('signed')
      await confirmAttempt(journal, second.id)
      expect(await intentStatus(first.intentId)).toBe('expired')
      await journal.advance(second.id, { to: 'reorged' })
      expect(await intentStatus(first.intentId)).toBe('signed')
    })

    it('gives a second nonce back to who held it, unless another has it by now', async () => {
      const first = await signAttempt(journal, actor, 1, { noncesUsed: 2 })
      await journal.supersede(outside())
      const other = await signAttempt(journal, actor, 2, { nonce: 2n })
      await journal.advance(first.id, { to: 'reorged' })
      expect((await journal.inFlight()).map(({ id }) => id)).toEqual([first.id, other.id])
      await confirmAttempt(journal, other.id)
      const lease = await leaseOf(journal, actor.account)
      const { intent } = await proposeIntent(journal, actor, 3)
      const late = attemptOf(intent, actor.account, { nonce: 2n })
      await expect(journal.prepare(lease, late)).rejects.toMatchObject(taken)
    })
  })
}
