import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { AttemptRecord, Journal, JournalStore } from '../../runtime/core/journal.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import { CHAIN_ID, newAgent, newGenesis } from './journalFixture.ts'
import { ACCOUNTS, type Act, begin, modelSteps, type Side, type World } from './journalSteps.ts'
import { journalPlaces, type TestStore } from './journalStores.ts'

/*
 * Whatever is done to a journal, in whatever order, the one in PostgreSQL answers as its in-memory twin does: the same
 * records, the same errors, and after each step everything that can be read is the same. Tokens of leases differ from one
 * to the other, and are compared by who holds them.
 */

/** What came of a step: a value, or the code of an error of ours. Anything else that is thrown fails the test. */
async function outcomeOf(act: Act, side: Side): Promise<unknown> {
  try {
    return { value: await act(side) }
  } catch (error) {
    if (error instanceof RialtoError && error.code !== 'DATABASE_FAILED') return { error: error.code }
    throw error
  }
}

class Command implements fc.AsyncCommand<World & { memory: Side }, Side> {
  readonly #name: string
  readonly #step: (world: World, known: readonly AttemptRecord[]) => Act
  constructor(name: string, step: (world: World, known: readonly AttemptRecord[]) => Act) {
    this.#name = name
    this.#step = step
  }
  check(): boolean {
    return true
  }
  async run(world: World & { memory: Side }, real: Side): Promise<void> {
    const before = new Map((await world.memory.journal.attempts()).map((attempt) => [attempt.id, attempt]))
    const act = this.#step(world, [...before.values()])
    const expected = await outcomeOf(act, world.memory)
    expect(await outcomeOf(act, real), this.#name).toEqual(expected)
    const all = await readAll(world.memory.journal, world)
    expect(await readAll(real.journal, world), this.#name).toEqual(all)
    for (const { id, status } of all.attempts)
      if (before.get(id)?.status !== status)
        expect(await real.journal.steps(id), this.#name).toEqual(await world.memory.journal.steps(id))
  }
  toString(): string {
    return this.#name
  }
}

/** Everything that can be read, but for the steps of attempts that did not move. */
async function readAll(journal: Journal, { actors }: World) {
  const agents = []
  for (const { agent, account } of actors)
    agents.push({
      history: await journal.history(agent, account, 3n),
      state: await journal.tradingState(agent, account),
      goodSince: await journal.goodSince(agent, account, ['COOLDOWN']),
    })
  const accounts = []
  for (const account of ACCOUNTS)
    accounts.push({
      nextNonce: await journal.nextNonce(account),
      inFlight: (await journal.inFlight(account)).map(({ id }) => id),
    })
  return {
    agents,
    accounts,
    runs: await journal.runs(),
    intents: await journal.intents(),
    attempts: await journal.attempts(),
    inFlight: (await journal.inFlight()).map(({ id }) => id),
    settled: (await journal.settledFrom(122n)).map(({ id }) => id),
    open: (await journal.openIntents()).map(({ id }) => id),
    approvals: await journal.approvals(),
    waiting: (await journal.approvals('waiting')).map(({ id }) => id),
    counts: await journal.counts(),
    ofOne: (await journal.attempts(actors[0]?.agent)).map(({ id }) => id),
  }
}

// Long ones only: what comes of a nonce takes many steps.
const sequences = fc.array(fc.oneof(...modelSteps((name, step) => new Command(name, step))), {
  minLength: 40,
  maxLength: 80,
})

describe.each(journalPlaces)('the journal in $place', ({ open }) => {
  let database: TestStore
  beforeAll(async () => {
    database = await open()
  })
  afterAll(() => database.remove())

  it('never differs from its twin in memory', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const { journals } = database.store
        const genesis = newGenesis()
        const sideOf = async (store: JournalStore): Promise<Side> => ({
          store,
          journal: await store.open(CHAIN_ID, genesis),
          leases: new Map(),
        })
        // Orders outlive an epoch in PostgreSQL: every sequence begins with everyone free to act.
        await journals.setTradingState('all', 'active', 'a new test')
        for (const account of ACCOUNTS) await journals.setTradingState({ account }, 'active', 'a new test')
        const memory = await sideOf(memoryJournals())
        const real = await sideOf(journals)
        // Two agents of their own, and a third on the account of the first.
        const [first, second] = ACCOUNTS
        const world: World = {
          actors: [first, second, first].map((account) => ({ agent: newAgent(), account })),
        }
        await begin(memory, world)
        await begin(real, world)
        await fc.asyncModelRun(() => ({ model: { ...world, memory }, real }), sequence)
        for (const { id } of await memory.journal.attempts())
          expect(await real.journal.steps(id)).toEqual(await memory.journal.steps(id))
      }),
      { numRuns: 25 },
    )
  }, 300_000)
})
