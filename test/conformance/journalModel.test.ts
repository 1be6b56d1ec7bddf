import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../infra/store/openStore.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { attemptId, intentId, runId } from '../../runtime/core/ids.ts'
import type { Journal, JournalStore, Lease, Settlement } from '../../runtime/core/journal.ts'
import { usd } from '../../runtime/core/units.ts'
import { memoryJournals } from '../twins/memoryJournal.ts'
import {
  type Actor,
  action,
  attemptOf,
  bytesOf,
  CHAIN_ID,
  decision,
  denial,
  fakeAddress,
  fakeHash,
  mined,
  newAgent,
  newGenesis,
  nothing,
  runOf,
  verdict,
} from './journalFixture.ts'

/*
 * Whatever is done to a journal, in whatever order, the one in PostgreSQL answers as its in-memory twin does: the same
 * records, the same errors. Tokens of leases differ from one to the other, and are compared by who holds them.
 */

const directory = mkdtempSync(join(tmpdir(), 'rialto-model-'))
let store: Store
beforeAll(async () => {
  store = await openStore({ directory })
})
afterAll(async () => {
  await store.close()
  rmSync(directory, { recursive: true })
})

/** One of the two journals, with the leases that were got from it. */
type Side = { store: JournalStore; journal: Journal; leases: Map<string, Lease> }
type World = {
  actors: readonly Actor[]
  /** Runs whose intents have an attempt, in the order they got it. */
  prepared: { n: number; block: number }[]
}
type Step = (side: Side, world: World) => Promise<unknown>

/** What came of a step: a value, or the code of an error of ours. Anything else that is thrown fails the test. */
async function outcomeOf(step: Step, side: Side, world: World): Promise<unknown> {
  try {
    return { value: await step(side, world) }
  } catch (error) {
    if (error instanceof RialtoError && error.code !== 'DATABASE_FAILED') return { error: error.code }
    throw error
  }
}

class Command implements fc.AsyncCommand<World & { memory: Side }, Side> {
  readonly #name: string
  readonly #step: Step
  constructor(name: string, step: Step) {
    this.#name = name
    this.#step = step
  }
  check(): boolean {
    return true
  }
  async run(world: World & { memory: Side }, real: Side): Promise<void> {
    const expected = await outcomeOf(this.#step, world.memory, world)
    expect(await outcomeOf(this.#step, real, world), this.#name).toEqual(expected)
  }
  toString(): string {
    return this.#name
  }
}

// Few of each, so that steps meet. Three of the four runs have an intent before a sequence begins: see `begin`.
const run = fc.integer({ min: 1, max: 4 })
const BEGUN = [1, 2, 3]
const who = fc.constantFrom(0, 1, 2)
const holder = fc.constantFrom('one', 'one', 'one', 'two')

const actorOf = (world: World, n: number): Actor => {
  const actor = world.actors[n]
  if (actor === undefined) throw new RangeError('There is no such actor.')
  return actor
}
const idsOf = (world: World, n: number, block: number) => {
  const id = runId(actorOf(world, n).agent, fakeHash(block))
  return { id, intent: intentId(id), attempt: attemptId(intentId(id), 1) }
}
const leaseOf = ({ leases }: Side, { account }: Actor, name: string): Lease =>
  leases.get(`${account}.${name}`) ?? { account, holder: name, token: 0n }

const settlement: fc.Arbitrary<Settlement> = fc.oneof(
  fc.record({
    status: fc.constant('confirmed' as const),
    deviated: fc.boolean(),
    ...Object.fromEntries(Object.entries(mined).map(([key, value]) => [key, fc.constant(value)])),
  }) as fc.Arbitrary<Settlement>,
  fc.record({ failure: fc.string() }).map((rest) => ({ ...mined, ...rest, status: 'reverted' as const })),
  fc.record({ status: fc.constantFrom('dropped' as const, 'unknown' as const), failure: fc.string() }),
)

const command = <T extends readonly unknown[]>(
  name: string,
  arbitrary: fc.Arbitrary<T>,
  step: (...parameters: T) => Step,
): fc.Arbitrary<Command> =>
  arbitrary.map((parameters) => new Command(`${name}(${fc.stringify(parameters)})`, step(...parameters)))

/** Which of the attempts there are so far. */
const which = fc.nat({ max: 7 })
const attemptAt = (world: World, pick: number) => {
  const { n, block } = world.prepared[pick % world.prepared.length] ?? { n: 0, block: 1 }
  return { ...idsOf(world, n, block), actor: actorOf(world, n) }
}

const onTheWay = [
  command(
    'prepare',
    fc.tuple(
      who,
      run,
      holder,
      fc.bigInt(0n, 4n),
      fc.constantFrom(1 as const, 2 as const),
      fc.bigInt(0n, 5n),
      fc.bigInt(0n, 2n ** 128n),
    ),
    (n, block, name, nonce, noncesUsed, signedAt, reserved) => async (side, world) => {
      const actor = actorOf(world, n)
      const { intent } = idsOf(world, n, block)
      const changes = { nonce, noncesUsed, signedAt, reserved: usd(reserved) }
      const attempt = await side.journal.prepare(
        leaseOf(side, actor, name),
        attemptOf(intent, actor.account, changes),
      )
      world.prepared.push({ n, block })
      return attempt
    },
  ),
  command('sign', fc.tuple(which, holder), (pick, name) => (side, world) => {
    const { attempt, actor } = attemptAt(world, pick)
    return side.journal.sign(leaseOf(side, actor, name), attempt, bytesOf(attempt))
  }),
  command(
    'markBroadcast',
    fc.tuple(which),
    (pick) =>
      ({ journal }, world) =>
        journal.markBroadcast(attemptAt(world, pick).attempt),
  ),
  command(
    'settle',
    fc.tuple(which, settlement),
    (pick, given) =>
      ({ journal }, world) =>
        journal.settle(attemptAt(world, pick).attempt, given),
  ),
]

const commands = [
  ...onTheWay,
  command(
    'startRun',
    fc.tuple(who, run),
    (n, block) =>
      ({ journal }, world) =>
        journal.startRun(runOf(actorOf(world, n), block)),
  ),
  command(
    'decide',
    fc.tuple(who, run, fc.boolean(), fc.string({ unit: 'binary' }), fc.bigInt(0n, 2n ** 256n - 1n)),
    (n, block, acts, reason, equity) =>
      ({ journal }, world) => {
        const { id, intent } = idsOf(world, n, block)
        const decided = { ...(acts ? decision : nothing), reason, equity: usd(equity) }
        return journal.decide(id, decided, acts ? { id: intent, action } : null)
      },
  ),
  command(
    'failRun',
    fc.tuple(who, run, fc.string({ unit: 'binary' })),
    (n, block, error) =>
      ({ journal }, world) =>
        journal.failRun(idsOf(world, n, block).id, error),
  ),
  command(
    'recordVerdict',
    fc.tuple(who, run, fc.constantFrom(verdict, { ...verdict, phase: 'effect' as const }, denial)),
    (n, block, given) =>
      ({ journal }, world) =>
        journal.recordVerdict(idsOf(world, n, block).intent, given, given.allowed ? 'proposed' : 'denied'),
  ),
  command(
    'expireIntent',
    fc.tuple(who, run),
    (n, block) =>
      ({ journal }, world) =>
        journal.expireIntent(idsOf(world, n, block).intent),
  ),
  // A lease of no time is over at once, one of an hour lasts for the test: no clock has to be waited for.
  command(
    'acquireLease',
    fc.tuple(who, holder, fc.constantFrom(0, 3_600, 3_600, 3_600)),
    (n, name, seconds) =>
      async ({ journal, leases }, world) => {
        const { account } = actorOf(world, n)
        const lease = await journal.acquireLease(account, name, seconds)
        if (lease !== null) leases.set(`${account}.${name}`, lease)
        return lease?.holder ?? null
      },
  ),
  command(
    'releaseLease',
    fc.tuple(who, holder),
    (n, name) => (side, world) => side.journal.releaseLease(leaseOf(side, actorOf(world, n), name)),
  ),
  command(
    'freeze',
    fc.tuple(who),
    (n) =>
      ({ journal }, world) =>
        journal.freeze(actorOf(world, n).agent, 'deviated'),
  ),
  command(
    'setTradingState',
    fc.tuple(fc.option(who), fc.constantFrom('active' as const, 'reducing' as const, 'halted' as const)),
    (n, state) =>
      ({ store }, world) =>
        store.setTradingState(n === null ? null : actorOf(world, n).agent, state, 'ordered'),
  ),
  command('look', fc.tuple(who, fc.bigInt(0n, 5n)), (n, since) => async ({ journal }, world) => {
    const { agent, account } = actorOf(world, n)
    return {
      history: await journal.history(agent, account, since),
      state: await journal.tradingState(agent),
      nextNonce: await journal.nextNonce(account),
      inFlight: await journal.inFlight(account),
      open: await journal.openIntents(),
    }
  }),
]

// Steps that bring an intent on come more often than those that end it, or hardly any would get far.
const weighted = [...commands, ...onTheWay, ...onTheWay]

/** Where every sequence begins: intents are proposed, and the leases are held. */
async function begin({ journal, leases }: Side, { actors }: World): Promise<void> {
  for (const actor of actors) {
    for (const block of BEGUN) {
      const { id } = await journal.startRun(runOf(actor, block))
      await journal.decide(id, decision, { id: intentId(id), action })
    }
    const lease = await journal.acquireLease(actor.account, 'one', 3_600)
    if (lease !== null) leases.set(`${actor.account}.one`, lease)
  }
}

const readAll: Step = async ({ journal }, { actors }) => ({
  runs: await journal.runs(),
  intents: await journal.intents(),
  attempts: await journal.attempts(),
  counts: await journal.counts(),
  ofOne: await journal.attempts(actors[0]?.agent),
})

test('the journal in PostgreSQL and its twin in memory never differ', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(weighted, { maxCommands: 60, size: 'max' }), async (sequence) => {
      const genesis = newGenesis()
      const sideOf = async (journals: JournalStore): Promise<Side> => ({
        store: journals,
        journal: await journals.open(CHAIN_ID, genesis),
        leases: new Map(),
      })
      // Orders outlive an epoch in PostgreSQL: every sequence begins with everyone free to act.
      await store.journals.setTradingState(null, 'active', 'a new test')
      const memory = await sideOf(memoryJournals())
      const real = await sideOf(store.journals)
      const accounts = [fakeAddress('first'), fakeAddress('second')] as const
      // Two agents of their own, and a third on the account of the first.
      const world: World = {
        actors: [accounts[0], accounts[1], accounts[0]].map((account) => ({ agent: newAgent(), account })),
        prepared: [],
      }
      await begin(memory, world)
      await begin(real, world)
      await fc.asyncModelRun(() => ({ model: { ...world, memory }, real }), sequence)
      expect(await readAll(real, world)).toEqual(await readAll(memory, world))
    }),
    { numRuns: 40 },
  )
}, 300_000)
