import { zeroAddress } from 'viem'
import { beforeEach, describe, expect, it } from 'vitest'
import { type AttemptStep, attemptStatuses, mayMove } from '../../runtime/core/attempts.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import type {
  AttemptRecord,
  AttemptStatus,
  Journal,
  JournalStore,
  Settlement,
} from '../../runtime/core/journal.ts'
import {
  type Actor,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  confirmAttempt,
  fakeAddress,
  fakeHash,
  inBlock,
  leaseOf,
  mined,
  newAgent,
  newGenesis,
  outcome,
  prepareAndSign,
  proposeIntent,
  replacementOf,
  signAttempt,
} from './journalFixture.ts'
import { journalNonceConformance } from './journalNonces.ts'

/**
 * What every implementation of the journal must do with attempts that may be on the wire: follow them along the arrows
 * of the state machine.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalMovementConformance(getStore: () => JournalStore): void {
  let journal: Journal
  let actor: Actor
  beforeEach(async () => {
    journal = await getStore().open(CHAIN_ID, newGenesis())
    actor = { agent: newAgent(), account: fakeAddress('owner') }
  })
  const conflict = { code: 'STATUS_CONFLICT' }
  const statusOf = async (id: AttemptRecord['intentId']) =>
    id === null ? null : (await journal.intent(id))?.status

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
        { status: 'failed', ...mined, failure: 'Assert: health factor' },
        { status: 'failed', ...mined, failure: 'Assert: health factor' },
      ],
    ]

    it.each(settlements)('leaves the intent %s', async (intent, settlement, attempt) => {
      const { id, intentId } = await signAttempt(journal, actor, 1)
      await journal.advance(id, { to: 'broadcast' })
      await journal.advance(id, inBlock)
      const settled = await journal.settle(id, settlement)
      expect(settled).toMatchObject(attempt)
      expect(await statusOf(intentId)).toBe(intent)
      expect(await journal.settle(id, settlement)).toEqual(settled)
      expect(await journal.attempts()).toEqual([settled])
      expect(await journal.inFlight()).toEqual([])
    })

    it('never goes back by itself, and takes no contradiction', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      await journal.advance(id, inBlock)
      const settled = await journal.settle(id, { status: 'failed', ...mined, failure: 'x' })
      for (const step of [{ to: 'unknown', failure: 'late' }, { to: 'broadcast' }, inBlock] as const)
        expect(await journal.advance(id, step)).toEqual(settled)
      for (const settlement of [
        { status: 'dropped', failure: 'x' },
        { status: 'confirmed', ...mined, deviated: false },
        { status: 'failed', ...mined, blockHash: fakeHash('elsewhere'), failure: 'x' },
      ] as const)
        await expect(journal.settle(id, settlement)).rejects.toMatchObject(conflict)
      const lease = await leaseOf(journal, actor.account)
      await journal.sign(lease, id, bytesOf(id))
      expect(await journal.attempts()).toEqual([settled])
    })

    it('drops only what was never signed, and lets no bytes of it out afterwards', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, attemptOf(intent, actor.account))
      for (const [, settlement] of settlements)
        await expect(journal.settle(id, settlement)).rejects.toMatchObject(conflict)
      const drop = { status: 'dropped', failure: 'never signed' } as const
      const dropped = await journal.settle(id, drop)
      expect(dropped).toMatchObject({ ...drop, blockNumber: null, actual: null, spent: 0n })
      expect(await journal.settle(id, { ...drop, failure: 'again' })).toEqual(dropped)
      expect(await statusOf(intent)).toBe('expired')
      await expect(journal.sign(lease, id, bytesOf(id))).rejects.toMatchObject(conflict)
      const next = await signAttempt(journal, actor, 2, { nonce: 7n })
      await expect(journal.settle(next.id, drop)).rejects.toMatchObject(conflict)
    })

    it('takes an outcome that could not be measured any more', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      await journal.advance(id, inBlock)
      const settlement = { status: 'confirmed', ...mined, actual: null, deviated: true } as const
      const settled = await journal.settle(id, settlement)
      expect(settled).toMatchObject({ actual: null, spent: mined.spent, expected: outcome })
      expect(await journal.attempts()).toEqual([settled])
    })

    it('keeps changes of balance in their order and with their signs', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      await journal.advance(id, inBlock)
      const actual = {
        ...outcome,
        balanceChanges: [{ token: zeroAddress, change: -1n }, ...outcome.balanceChanges],
      }
      const settled = await journal.settle(id, { status: 'confirmed', ...mined, actual, deviated: false })
      expect(settled.actual).toEqual(actual)
      expect(settled.expected).toEqual(outcome)
    })
  })

  describe('steps', () => {
    const path: Readonly<Record<AttemptStatus, readonly ('sign' | 'drop' | AttemptStep['to'] | 'settle')[]>> =
      {
        prepared: [],
        signed: ['sign'],
        broadcast: ['sign', 'broadcast'],
        unknown: ['sign', 'unknown'],
        pending: ['sign', 'pending'],
        mined: ['sign', 'mined'],
        confirmed: ['sign', 'mined', 'settle'],
        failed: ['sign', 'mined', 'settle'],
        replaced: ['sign'],
        dropped: ['drop'],
        reorged: ['sign', 'mined', 'reorged'],
      }
    const stepTo = (to: AttemptStep['to']): AttemptStep =>
      to === 'mined' ? inBlock : to === 'unknown' ? { to, failure: 'no answer' } : { to }

    /** An attempt that got to a status on its own. */
    async function attemptIn(status: AttemptStatus): Promise<AttemptId> {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, attemptOf(intent, actor.account))
      for (const step of path[status]) {
        if (step === 'sign') await journal.sign(lease, id, bytesOf(id))
        else if (step === 'drop') await journal.settle(id, { status: 'dropped', failure: 'not signed' })
        else if (step !== 'settle') await journal.advance(id, stepTo(step))
        else if (status === 'failed') await journal.settle(id, { status, ...mined, failure: 'reverted' })
        else await journal.settle(id, { status: 'confirmed', ...mined, deviated: false })
      }
      if (status === 'replaced')
        await journal.supersede({ account: actor.account, nonce: 7n, hash: null, block: inBlock.block })
      expect((await journal.attempts())[0]?.status).toBe(status)
      return id
    }

    // What a step finds done, or left behind, it leaves as it is.
    const further = (from: AttemptStatus, to: AttemptStep['to']): boolean =>
      from === to ||
      {
        broadcast: ['mined', 'confirmed', 'failed', 'replaced', 'dropped'],
        pending: ['mined', 'confirmed', 'failed', 'replaced', 'dropped'],
        unknown: ['confirmed', 'failed', 'replaced', 'dropped'],
        mined: ['confirmed', 'failed'],
        reorged: [] as string[],
      }[to].includes(from)

    it.each(attemptStatuses)('go from %s where the state machine says so, and nowhere else', async (from) => {
      for (const to of ['broadcast', 'pending', 'unknown', 'mined', 'reorged'] as const) {
        journal = await getStore().open(CHAIN_ID, newGenesis())
        const id = await attemptIn(from)
        const before = await journal.steps(id)
        const [was] = await journal.attempts()
        const step = stepTo(to)
        if (mayMove(from, to)) {
          expect(await journal.advance(id, step)).toMatchObject({
            status: to,
            blockHash: to === 'mined' ? mined.blockHash : null,
            failure: to === 'unknown' ? 'no answer' : null,
            spent: null,
            actual: null,
          })
          expect(await journal.steps(id)).toEqual([...before, { from, to }])
          expect(await statusOf(was?.intentId ?? null)).toBe('signed')
        } else {
          if (further(from, to)) expect(await journal.advance(id, step)).toEqual(was)
          else await expect(journal.advance(id, step)).rejects.toMatchObject(conflict)
          expect(await journal.steps(id)).toEqual(before)
          expect(await journal.attempts()).toEqual([was])
        }
      }
    })

    it('are all kept, from the first', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      await journal.advance(id, { to: 'unknown', failure: 'timed out' })
      expect(await journal.advance(id, { to: 'unknown', failure: 'timed out again' })).toMatchObject({
        failure: 'timed out again',
      })
      await confirmAttempt(journal, id)
      await journal.advance(id, { to: 'reorged' })
      const went = ['prepared', 'signed', 'unknown', 'mined', 'confirmed', 'reorged'] as const
      expect(await journal.steps(id)).toEqual(went.map((to, n) => ({ from: went[n - 1] ?? null, to })))
    })

    it('take no other block for the one an attempt is in', async () => {
      const { id } = await signAttempt(journal, actor, 1)
      const there = await journal.advance(id, inBlock)
      const elsewhere = { to: 'mined', block: { number: 122n, hash: fakeHash('elsewhere') } } as const
      await expect(journal.advance(id, elsewhere)).rejects.toMatchObject(conflict)
      expect(await journal.attempts()).toEqual([there])
      await journal.advance(id, { to: 'reorged' })
      expect(await journal.advance(id, elsewhere)).toMatchObject({ blockNumber: 122n })
    })

    it('have one winner when many settle differently at once', async () => {
      const first = await signAttempt(journal, actor, 1)
      const second = await prepareAndSign(journal, replacementOf(first, 2))
      for (const { id } of [first, second]) await journal.advance(id, inBlock)
      const answers = await Promise.allSettled(
        [first, second, first, second].map(({ id }, n) =>
          n < 2
            ? journal.settle(id, { status: 'confirmed', ...mined, deviated: false })
            : journal.settle(id, { status: 'failed', ...mined, failure: 'x' }),
        ),
      )
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const answer of answers)
        if (answer.status === 'rejected') expect(answer.reason).toMatchObject(conflict)
      const statuses = (await journal.attempts()).map(({ status }) => status)
      expect(statuses.filter((status) => status === 'replaced')).toHaveLength(1)
    })
  })

  describe('many movers at once', () => {
    it('take every attempt along one path of the state machine, and settle one on the nonce', async () => {
      const where = { account: actor.account, nonce: 1n, hash: null, block: inBlock.block }
      for (let n = 1; n <= 4; n += 1) {
        journal = await getStore().open(CHAIN_ID, newGenesis())
        const lease = await leaseOf(journal, actor.account)
        const first = await signAttempt(journal, actor, 1)
        const second = await journal.prepare(lease, replacementOf(first, 2))
        const moves = [first.id, second.id].flatMap((id) => [
          () => journal.sign(lease, id, bytesOf(id)),
          () => journal.advance(id, { to: 'broadcast' }),
          () => journal.advance(id, inBlock),
          () => journal.settle(id, { status: 'confirmed', ...mined, deviated: false }),
          () => journal.advance(id, { to: 'unknown', failure: 'no answer' }),
          () => journal.advance(id, { to: 'reorged' }),
          () => journal.supersede(where),
          () => journal.advance(id, inBlock),
          () => journal.settle(id, { status: 'failed', ...mined, failure: 'reverted' }),
        ])
        // From another beginning each time.
        const order = [...moves.slice(n * 4), ...moves.slice(0, n * 4)]
        for (const answer of await Promise.allSettled([...order, ...order].map((move) => move())))
          if (answer.status === 'rejected') expect(answer.reason).toMatchObject(conflict)
        const attempts = await journal.attempts()
        for (const { id, status } of attempts) {
          const steps = await journal.steps(id)
          expect(steps.at(-1)?.to).toBe(status)
          for (const [at, { from, to }] of steps.entries()) {
            expect(from).toBe(steps[at - 1]?.to ?? null)
            expect(mayMove(from, to)).toBe(true)
          }
        }
        const settled = attempts.filter(({ status }) => status === 'confirmed' || status === 'failed')
        expect(settled.length).toBeLessThanOrEqual(1)
        const isOpenStill = attempts.some(({ spent }) => spent === null)
        expect((await statusOf(first.intentId)) === 'signed').toBe(isOpenStill && settled.length === 0)
      }
    })
  })

  journalNonceConformance(getStore)
}
