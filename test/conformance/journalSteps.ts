import fc from 'fast-check'
import type { Address } from 'viem'
import type { AttemptStep } from '../../runtime/core/attempts.ts'
import { type AttemptId, attemptId, type IntentId, intentId, runId } from '../../runtime/core/ids.ts'
import type {
  AttemptRecord,
  Journal,
  JournalStore,
  Lease,
  PreparedAttempt,
  Settlement,
} from '../../runtime/core/journal.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import { usd } from '../../runtime/core/units.ts'
import { NOW, requestOf, signBy, signers } from './journalApprovals.ts'
import {
  type Actor,
  action,
  attemptOf,
  bytesOf,
  decision,
  denial,
  emptyPlan,
  fakeAddress,
  fakeHash,
  fillOf,
  inLedger,
  mined,
  nothing,
  planOf,
  runOf,
  verdict,
} from './journalFixture.ts'

/*
 * Everything that can be done to a journal, by chance: few of each kind, so that steps meet.
 */

/** One of the two journals, with the leases that were got from it. */
export type Side = { store: JournalStore; journal: Journal; leases: Map<string, Lease> }
export type World = { readonly actors: readonly Actor[] }
/** What is done to each of the two journals. */
export type Act = (side: Side) => Promise<unknown>
/** @param known the attempts there are */
type Step = (world: World, known: readonly AttemptRecord[]) => Act

export const ACCOUNTS = [fakeAddress('first'), fakeAddress('second')] as const
/** Of four runs of each actor three have an intent before a sequence begins. */
const BEGUN = [1, 2, 3]

const who = fc.constantFrom(0, 1, 2)
const run = fc.integer({ min: 1, max: 4 })
// Who holds the leases from the start, nearly always.
const holder = fc.oneof({ weight: 14, arbitrary: fc.constant('one') }, fc.constant('two'))
const nonce = fc.bigInt(0n, 4n)
const noncesUsed = fc.constantFrom(1 as const, 1 as const, 2 as const)
const reserved = fc.bigInt(0n, 2n ** 128n).map(usd)
const signedAt = fc.bigInt(0n, 5n)
/** Which of the attempts there are. */
const which = fc.nat({ max: 9 })
/** Of how many tries under one name. */
const nth = fc.integer({ min: 1, max: 4 })
const block = fc
  .constantFrom(121n, 122n, 123n)
  .map((number) => ({ number, hash: number === 121n ? mined.blockHash : fakeHash(`block ${number}`) }))

const actorOf = (world: World, n: number): Actor => {
  const actor = world.actors[n]
  if (actor === undefined) throw new RangeError('There is no such actor.')
  return actor
}
const runOfWorld = (world: World, n: number, blockNumber: number) => {
  const id = runId(actorOf(world, n).agent, fakeHash(blockNumber))
  return { id, intent: intentId(id) }
}
const leaseOf = ({ leases }: Side, account: Address, name: string): Lease =>
  leases.get(`${account}.${name}`) ?? { account, holder: name, token: 0n }
/** One of the attempts; one that there is not while there are none. */
const idAt = (known: readonly AttemptRecord[], pick: number): AttemptId =>
  known[pick % known.length]?.id ?? attemptId('nothing' as IntentId, 1)
const withEmptyPlan = (attempt: PreparedAttempt, intent: IntentId): PreparedAttempt => {
  const plan = emptyPlan(intent, attempt.account)
  return { ...attempt, plan, planHash: planHash(plan), expected: null }
}

/** A plan that a person may be asked about: few, so that signatures meet, and now and then another of the same intent. */
const asked = fc.tuple(
  fc.constantFrom(0, 1),
  fc.constantFrom(2, 3),
  fc.oneof({ weight: 5, arbitrary: fc.constant(1n) }, fc.constant(2n)),
)
const requestAt = (world: World, [n, number, gasLimit]: readonly [number, number, bigint]) => {
  const actor = actorOf(world, n)
  const { intent } = runOfWorld(world, n, number)
  return requestOf(intent, actor, { plan: { ...planOf(intent, actor.account), gasLimit } })
}

const settlement: fc.Arbitrary<Settlement> = fc.oneof(
  fc.record({ deviated: fc.boolean(), block, spent: reserved, isMeasured: fc.boolean() }).map(
    ({ deviated, spent, isMeasured, block: { number, hash } }) =>
      ({
        status: 'confirmed',
        deviated,
        spent,
        blockNumber: number,
        blockHash: hash,
        actual: isMeasured ? mined.actual : null,
      }) as const,
  ),
  fc.record({ failure: fc.string() }).map((rest) => ({ ...mined, ...rest, status: 'failed' as const })),
  fc.record({ failure: fc.string() }).map((rest) => ({ ...rest, status: 'dropped' as const })),
)

const attemptStep: fc.Arbitrary<AttemptStep> = fc.oneof(
  fc.constant({ to: 'broadcast' } as const),
  fc.constant({ to: 'pending' } as const),
  fc.string().map((failure) => ({ to: 'unknown', failure }) as const),
  { weight: 4, arbitrary: block.map((there) => ({ to: 'mined', block: there }) as const) },
  { weight: 2, arbitrary: fc.constant({ to: 'reorged' } as const) },
)

/** Where every sequence begins: intents are proposed, the leases are held, and on a nonce of each account two attempts meet. */
export async function begin({ journal, leases }: Side, { actors }: World): Promise<void> {
  for (const actor of actors) {
    for (const number of BEGUN) {
      const { id } = await journal.startRun(runOf(actor, number))
      await journal.decide(id, decision, { id: intentId(id), action })
    }
    const lease = await journal.acquireLease(actor.account, 'one', 3_600)
    if (lease !== null) leases.set(`${actor.account}.one`, lease)
  }
  for (const actor of actors.slice(0, ACCOUNTS.length)) {
    const intent = intentId(runOf(actor, 1).id)
    const first = attemptOf(intent, actor.account, { nonce: 1n, noncesUsed: 2 })
    const second = attemptOf(intent, actor.account, {
      id: attemptId(intent, 2),
      nonce: 1n,
      replaces: first.id,
    })
    const held = leases.get(`${actor.account}.one`)
    if (held === undefined) continue
    for (const attempt of [first, second]) {
      await journal.prepare(held, attempt)
      await journal.sign(held, attempt.id, bytesOf(attempt.id))
    }
  }
}

/** @param make makes a command of a name, for when it fails, and a step */
export function modelSteps<C>(make: (name: string, step: Step) => C): readonly fc.Arbitrary<C>[] {
  const command = <T extends readonly unknown[]>(
    name: string,
    arbitrary: fc.Arbitrary<T>,
    step: (...parameters: T) => Step,
  ): fc.Arbitrary<C> =>
    arbitrary.map((parameters) => make(`${name}(${fc.stringify(parameters)})`, step(...parameters)))

  const onTheWay = [
    command(
      'prepare',
      fc.tuple(who, run, holder, fc.record({ nonce, noncesUsed, signedAt, reserved })),
      (n, number, name, changes) => (world) => {
        const { account } = actorOf(world, n)
        const attempt = attemptOf(runOfWorld(world, n, number).intent, account, changes)
        return (side) => side.journal.prepare(leaseOf(side, account, name), attempt)
      },
    ),
    command(
      'replace',
      fc.tuple(
        which,
        holder,
        nth,
        fc.record({ noncesUsed, reserved, signedAt }),
        fc.boolean(),
        // Now and then for an intent that is not the replaced one's, or from another nonce.
        fc.option(fc.tuple(who, run), { freq: 6 }),
        fc.option(nonce, { freq: 12 }),
      ),
      (pick, name, n, changes, cancels, another, elsewhere) => (world, known) => {
        const earlier = known[pick % known.length]
        const account = earlier?.account ?? actorOf(world, 0).account
        const [who, number] = another ?? [0, 1]
        const intent =
          another === null && earlier?.intentId != null
            ? earlier.intentId
            : runOfWorld(world, who, number).intent
        const attempt = attemptOf(intent, account, {
          ...changes,
          id: attemptId(intent, n),
          nonce: elsewhere ?? earlier?.nonce ?? 0n,
          replaces: idAt(known, pick),
        })
        const given: PreparedAttempt = cancels
          ? { ...withEmptyPlan(attempt, intent), purpose: 'cancel' }
          : attempt
        return (side) => side.journal.prepare(leaseOf(side, account, name), given)
      },
    ),
    command('sign', fc.tuple(which, holder), (pick, name) => (_world, known) => {
      const id = idAt(known, pick)
      const account = known.find((attempt) => attempt.id === id)?.account ?? ACCOUNTS[0]
      return (side) => side.journal.sign(leaseOf(side, account, name), id, bytesOf(id))
    }),
    command('sign the newest', fc.tuple(holder), (name) => (_world, known) => {
      const last = known.findLast(({ status }) => status === 'prepared')
      const id = last?.id ?? idAt(known, 0)
      return (side) => side.journal.sign(leaseOf(side, last?.account ?? ACCOUNTS[0], name), id, bytesOf(id))
    }),
  ]

  const forward = [
    command('advance', fc.tuple(which, attemptStep), (pick, step) => (_world, known) => {
      const id = idAt(known, pick)
      return ({ journal }) => journal.advance(id, step)
    }),
    command('settle', fc.tuple(which, settlement), (pick, given) => (_world, known) => {
      const id = idAt(known, pick)
      return ({ journal }) => journal.settle(id, given)
    }),
    command('settle what is mined', fc.tuple(settlement), (given) => (_world, known) => {
      const id = known.find(({ status }) => status === 'mined')?.id ?? idAt(known, 0)
      return ({ journal }) => journal.settle(id, given)
    }),
  ]

  const asking = [
    command('requestApproval', fc.tuple(asked, reserved), (of, amount) => (world) => {
      const request = { ...requestAt(world, of), reserved: amount }
      return ({ journal }) => journal.requestApproval(request)
    }),
    command(
      'addApproval',
      fc.tuple(asked, fc.constantFrom(...signers), fc.constantFrom(NOW, NOW + 1n, NOW + 3_600n)),
      (of, signer, at) => (world) => {
        const request = requestAt(world, of)
        return async ({ journal }) => journal.addApproval(request.id, await signBy(signer, request), at)
      },
    ),
    command(
      'endApproval',
      fc.tuple(
        asked,
        fc.constantFrom('rejected' as const, 'expired' as const, 'void' as const),
        fc.string({ unit: 'binary' }),
      ),
      (of, end, reason) => (world) => {
        const { id } = requestAt(world, of)
        return ({ journal }) => journal.endApproval(id, end, reason)
      },
    ),
  ]

  const rest = [
    command(
      'fill',
      fc.tuple(who, holder, nonce, nth, fc.record({ reserved, signedAt }), fc.boolean()),
      (n, name, on, count, changes, joins) => (world, known) => {
        const { account } = actorOf(world, n)
        const there = known.findLast((attempt) => attempt.account === account && attempt.nonce === on)
        const replaces = joins ? (there?.id ?? null) : null
        const attempt = fillOf(account, on, count, { ...changes, replaces })
        return (side) => side.journal.prepare(leaseOf(side, account, name), attempt)
      },
    ),
    command(
      'adopt',
      fc.tuple(
        who,
        run,
        holder,
        nth,
        fc.record({ nonce, noncesUsed, signedAt, reserved }),
        fc.boolean(),
        fc.boolean(),
      ),
      (n, number, name, count, changes, isEmpty, isNamed) => (world) => {
        const { account } = actorOf(world, n)
        const { intent } = runOfWorld(world, n, number)
        const act = attemptOf(intent, account, { ...changes, id: attemptId(intent, count) })
        const ledger = inLedger(isEmpty ? withEmptyPlan(act, intent) : act)
        const given = { ...ledger, intentId: isNamed ? intent : null }
        return (side) => side.journal.adopt(leaseOf(side, account, name), given)
      },
    ),
    command(
      'supersede',
      fc.tuple(fc.constantFrom(...ACCOUNTS), nonce, block, fc.option(which, { freq: 3 }), fc.boolean()),
      (account, on, there, pick, isNamed) => (_world, known) => {
        const own = pick === null ? null : (known[pick % known.length]?.hash ?? null)
        const outside = {
          account,
          nonce: on,
          block: there,
          hash: own ?? (isNamed ? fakeHash('stranger') : null),
        }
        return ({ journal }) => journal.supersede(outside)
      },
    ),
    command('startRun', fc.tuple(who, run), (n, number) => (world) => {
      const given = runOf(actorOf(world, n), number)
      return ({ journal }) => journal.startRun(given)
    }),
    command(
      'decide',
      fc.tuple(who, run, fc.boolean(), fc.string({ unit: 'binary' }), fc.bigInt(0n, 2n ** 256n - 1n)),
      (n, number, acts, reason, equity) => (world) => {
        const { id, intent } = runOfWorld(world, n, number)
        const decided = { ...(acts ? decision : nothing), reason, equity: usd(equity) }
        return ({ journal }) => journal.decide(id, decided, acts ? { id: intent, action } : null)
      },
    ),
    command('failRun', fc.tuple(who, run, fc.string({ unit: 'binary' })), (n, number, error) => (world) => {
      const { id } = runOfWorld(world, n, number)
      return ({ journal }) => journal.failRun(id, error)
    }),
    command(
      'recordVerdict',
      fc.tuple(who, run, fc.constantFrom(verdict, { ...verdict, phase: 'effect' as const }, denial)),
      (n, number, given) => (world) => {
        const { intent } = runOfWorld(world, n, number)
        return ({ journal }) => journal.recordVerdict(intent, given, given.allowed ? 'proposed' : 'denied')
      },
    ),
    command('expireIntent', fc.tuple(who, run), (n, number) => (world) => {
      const { intent } = runOfWorld(world, n, number)
      return ({ journal }) => journal.expireIntent(intent)
    }),
    // A lease of no time is over at once, one of an hour lasts for the test: no clock has to be waited for.
    command(
      'acquireLease',
      fc.tuple(who, holder, fc.constantFrom(0, 3_600, 3_600, 3_600)),
      (n, name, seconds) => (world) => {
        const { account } = actorOf(world, n)
        return async ({ journal, leases }) => {
          const lease = await journal.acquireLease(account, name, seconds)
          if (lease !== null) leases.set(`${account}.${name}`, lease)
          return lease?.holder ?? null
        }
      },
    ),
    command('releaseLease', fc.tuple(who, holder), (n, name) => (world) => {
      const { account } = actorOf(world, n)
      return (side) => side.journal.releaseLease(leaseOf(side, account, name))
    }),
    command('freeze', fc.tuple(who), (n) => (world) => {
      const { agent } = actorOf(world, n)
      return ({ journal }) => journal.freeze(agent, 'deviated')
    }),
    command(
      'setTradingState',
      fc.tuple(
        fc.oneof(fc.constant('all' as const), who, fc.constantFrom(...ACCOUNTS)),
        fc.constantFrom('active' as const, 'reducing' as const, 'halted' as const),
      ),
      (whom, state) => (world) => {
        const scope =
          whom === 'all'
            ? whom
            : typeof whom === 'number'
              ? { agent: actorOf(world, whom).agent }
              : { account: whom }
        return ({ store }) => store.setTradingState(scope, state, 'ordered')
      },
    ),
  ]
  // Steps that bring an intent on come more often than those that end it, or hardly any would get far.
  return [
    ...rest,
    ...asking,
    ...asking,
    ...asking,
    ...onTheWay,
    ...onTheWay,
    ...forward,
    ...forward,
    ...forward,
    ...forward,
    ...forward,
  ]
}
