import type { Address } from 'viem'
import { beforeEach, describe, expect, it } from 'vitest'
import { intentId, runId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore } from '../../runtime/core/journal.ts'
import { usd, wad } from '../../runtime/core/units.ts'
import {
  type Actor,
  attemptOf,
  CHAIN_ID,
  confirmAttempt,
  fakeAddress,
  fakeHash,
  fillOf,
  inBlock,
  inLedger,
  leaseOf,
  mined,
  newAgent,
  newGenesis,
  nothing,
  prepareAndSign,
  proposeIntent,
  replacementOf,
  runOf,
  signAttempt,
  throughRoles,
} from './journalFixture.ts'

/**
 * What every implementation of the journal must tell of the past, and of what a person ordered.
 *
 * @param getStore gives the store under test; each test opens an epoch of its own in it
 */
export function journalHistoryConformance(getStore: () => JournalStore): void {
  let store: JournalStore
  let journal: Journal
  let actor: Actor
  beforeEach(async () => {
    store = getStore()
    journal = await store.open(CHAIN_ID, newGenesis())
    actor = { agent: newAgent(), account: fakeAddress('owner') }
  })

  describe('history', () => {
    it('is empty at first', async () => {
      expect(await journal.history(actor.agent, actor.account, 0n)).toEqual({
        spent: 0n,
        inFlight: 0,
        lastActionAt: null,
        peakEquity: null,
      })
    })

    it('adds what was spent since to everything that is reserved, however old', async () => {
      const old = await signAttempt(journal, actor, 1, { signedAt: 100n, reserved: usd(1_000n) })
      const recent = await signAttempt(journal, actor, 2, { signedAt: 200n, reserved: usd(1_000n) })
      await signAttempt(journal, actor, 3, { signedAt: 50n, reserved: usd(7n) })
      const lost = await signAttempt(journal, actor, 4, { signedAt: 201n, reserved: usd(100_000n) })
      for (const { id } of [old, recent]) await confirmAttempt(journal, id)
      await journal.supersede({ account: actor.account, nonce: lost.nonce, hash: null, block: inBlock.block })
      expect(await journal.history(actor.agent, actor.account, 200n)).toMatchObject({
        spent: mined.spent + 7n,
        inFlight: 1,
        lastActionAt: 201n,
      })
      expect((await journal.history(actor.agent, actor.account, 0n)).spent).toBe(2n * mined.spent + 7n)
    })

    it('counts no action that was never signed', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const lease = await leaseOf(journal, actor.account)
      const { id } = await journal.prepare(lease, attemptOf(intent, actor.account))
      const history = () => journal.history(actor.agent, actor.account, 0n)
      expect(await history()).toMatchObject({ inFlight: 1, lastActionAt: 1_700_000_000n })
      await journal.settle(id, { status: 'dropped', failure: 'never signed' })
      expect(await history()).toMatchObject({ spent: 0n, inFlight: 0, lastActionAt: null })
    })

    it('is of the agent, but counts in flight what others sent from its account', async () => {
      const other = { agent: newAgent(), account: actor.account }
      await signAttempt(journal, other, 1, { nonce: 1n })
      expect(await journal.history(actor.agent, actor.account, 0n)).toEqual({
        spent: 0n,
        inFlight: 1,
        lastActionAt: null,
        peakEquity: null,
      })
    })

    it('reserves for a nonce the most that one of its attempts may cost, and counts it once', async () => {
      const first = await signAttempt(journal, actor, 1, { reserved: usd(70n) })
      await prepareAndSign(journal, replacementOf(first, 2, { reserved: usd(100n) }))
      await prepareAndSign(journal, replacementOf(first, 3, { reserved: usd(80n) }))
      await signAttempt(journal, actor, 2, { reserved: usd(5n) })
      expect(await journal.history(actor.agent, actor.account, 0n)).toMatchObject({
        spent: 105n,
        inFlight: 2,
      })
    })

    it('counts what no agent is known for, on its account alone', async () => {
      const lease = await leaseOf(journal, actor.account)
      const lost = attemptOf(intentId(runId(actor.agent, fakeHash('lost'))), actor.account, {
        reserved: usd(9n),
        signedAt: 50n,
      })
      await journal.adopt(lease, inLedger(lost))
      await prepareAndSign(journal, fillOf(actor.account, 8n, 1, { reserved: usd(1n), signedAt: 60n }))
      const elsewhere = fakeAddress('another')
      const agents = [actor.agent, newAgent()]
      for (const agent of agents)
        expect(await journal.history(agent, actor.account, 0n)).toMatchObject({
          spent: 10n,
          inFlight: 2,
          lastActionAt: 50n,
        })
      expect(await journal.history(actor.agent, elsewhere, 0n)).toMatchObject({ spent: 0n, inFlight: 0 })
    })

    it('is of the account whose money moves, whoever sends for it', async () => {
      const { intent } = await proposeIntent(journal, actor)
      const sender = fakeAddress('member of the role')
      const attempt = throughRoles(attemptOf(intent, actor.account, { reserved: usd(3n) }), sender)
      const prepared = await prepareAndSign(journal, attempt)
      expect(prepared.plan).toEqual(attempt.plan)
      expect(await journal.nextNonce(sender)).toBe(8n)
      expect(await journal.nextNonce(actor.account)).toBeNull()
      expect(await journal.inFlight(sender)).toEqual([prepared])
      expect(await journal.history(actor.agent, actor.account, 0n)).toMatchObject({ spent: 3n, inFlight: 1 })
    })

    it('counts what has a budget of its own in all but what was spent', async () => {
      const own = await proposeIntent(journal, actor)
      await prepareAndSign(
        journal,
        attemptOf(own.intent, actor.account, { reserved: usd(3n), signedAt: 40n }),
      )
      const protector = fakeAddress('protector')
      const rescue = attemptOf(intentId(runId(actor.agent, fakeHash('rescue'))), actor.account, {
        reserved: usd(9n),
        signedAt: 50n,
      })
      const lease = await leaseOf(journal, protector)
      await journal.adopt(lease, inLedger(throughRoles(rescue, protector)))
      const history = (apart: Address | null) => journal.history(actor.agent, actor.account, 0n, apart)
      const counted = { inFlight: 2, lastActionAt: 50n }
      expect(await history(null)).toMatchObject({ ...counted, spent: 12n })
      expect(await history(protector)).toMatchObject({ ...counted, spent: 3n })
      expect(await history(actor.account)).toMatchObject({ ...counted, spent: 9n })
    })

    it('remembers the highest equity', async () => {
      for (const [n, equity] of [10n, 30n, 20n].entries()) {
        const { id } = await journal.startRun(runOf(actor, n))
        await journal.decide(id, { ...nothing, equity: usd(equity), healthFactor: wad(1n) }, null)
      }
      expect((await journal.history(actor.agent, actor.account, 0n)).peakEquity).toBe(30n)
    })

    it('lists in the order of recording, for all agents or one', async () => {
      const other = { ...actor, agent: newAgent() }
      for (const n of [3, 1, 2]) await journal.startRun(runOf(n === 1 ? other : actor, n))
      expect((await journal.runs()).map(({ blockNumber }) => blockNumber)).toEqual([3n, 1n, 2n])
      expect((await journal.runs(actor.agent)).map(({ blockNumber }) => blockNumber)).toEqual([3n, 2n])
      await journal.startRun(runOf(actor, 3))
      expect(await journal.counts()).toEqual({ runs: 3, intents: 0, attempts: 0 })
    })
  })

  describe('trading state', () => {
    // An order to all agents outlives the test that gave it: each of these ends with everyone active.
    const state = () => journal.tradingState(actor.agent, actor.account)

    it('is active until someone says otherwise', async () => {
      expect(await state()).toBe('active')
    })

    it('is the stricter of the order to all and the order to one', async () => {
      await store.setTradingState({ agent: actor.agent }, 'reducing', 'careful')
      expect(await state()).toBe('reducing')
      await store.setTradingState('all', 'halted', 'stop')
      expect(await state()).toBe('halted')
      expect(await journal.tradingState(newAgent(), actor.account)).toBe('halted')
      await store.setTradingState('all', 'active', 'go on')
      expect(await state()).toBe('reducing')
      await store.setTradingState({ agent: actor.agent }, 'active', 'go on')
      expect(await state()).toBe('active')
    })

    it('can be for one account, whoever acts on it', async () => {
      const account = fakeAddress(newAgent())
      const on = (where: Address) => journal.tradingState(actor.agent, where)
      await store.setTradingState({ account: account.toLowerCase() as Address }, 'halted', 'stop')
      expect(await on(account)).toBe('halted')
      expect(await journal.tradingState(newAgent(), account)).toBe('halted')
      expect(await on(actor.account)).toBe('active')
      expect(await (await store.open(CHAIN_ID, newGenesis())).tradingState(actor.agent, account)).toBe(
        'halted',
      )
      await store.setTradingState({ agent: actor.agent }, 'active', 'of no use')
      expect(await on(account)).toBe('halted')
      await store.setTradingState({ account }, 'reducing', 'a little')
      expect(await on(account)).toBe('reducing')
      await store.setTradingState({ account }, 'active', 'go on')
      await journal.freeze(actor.agent, 'it deviated')
      await store.setTradingState({ account }, 'active', 'this is about the account')
      expect(await on(account)).toBe('reducing')
      await store.setTradingState({ agent: actor.agent }, 'active', 'looked into it')
      expect(await on(account)).toBe('active')
    })

    it('holds in every epoch when a person ordered it, a freeze in its own', async () => {
      const other = await store.open(CHAIN_ID, newGenesis())
      await journal.freeze(actor.agent, 'it deviated')
      expect(await state()).toBe('reducing')
      expect(await other.tradingState(actor.agent, actor.account)).toBe('active')
      await store.setTradingState({ agent: actor.agent }, 'halted', 'stop')
      expect(await other.tradingState(actor.agent, actor.account)).toBe('halted')
    })

    it.each(['one', 'all'])('stays frozen until a person resumes %s', async (whom) => {
      const target = whom === 'one' ? { agent: actor.agent } : 'all'
      await journal.freeze(actor.agent, 'it deviated')
      await store.setTradingState({ agent: newAgent() }, 'active', 'another one')
      expect(await state()).toBe('reducing')
      await store.setTradingState(target, 'active', 'looked into it')
      expect(await state()).toBe('active')
      await journal.freeze(actor.agent, 'again')
      expect(await state()).toBe('reducing')
      await store.setTradingState(target, 'active', 'looked into it again')
    })
  })
}
