import { type Address, getAddress, type Hex } from 'viem'
import { storable } from '../../infra/store/columns.ts'
import {
  decodeAction,
  decodePlan,
  encodeAction,
  encodePlan,
  sameVerdict,
  storableVerdict,
} from '../../infra/store/json.ts'
import {
  checkDecision,
  checkPrepared,
  judgeSettlement,
  noncesOf,
  settledIntent,
  strictest,
} from '../../infra/store/rules.ts'
import { type Clock, systemClock } from '../../runtime/core/clock.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import {
  type AgentId,
  type AttemptId,
  type EpochId,
  epochId,
  type IntentId,
  type RunId,
} from '../../runtime/core/ids.ts'
import {
  type AttemptRecord,
  type DecisionRecord,
  FencedError,
  type IntentRecord,
  type Journal,
  type JournalStore,
  type Lease,
  NonceTakenError,
  type RunRecord,
  StatusConflictError,
  UnknownRecordError,
} from '../../runtime/core/journal.ts'
import type { Outcome } from '../../runtime/core/lifecycle.ts'
import { type Usd, usd } from '../../runtime/core/units.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'

/** An order to trade or not to. `epoch` null: a person gave it, for every epoch; `agent` null: for every agent. */
type Order = { readonly epoch: EpochId | null; readonly agent: AgentId | null; readonly state: TradingState }

/**
 * The in-memory twin of the journals: the same port, the same musts, nothing on disk. Every method does its work in
 * one go, so none can be seen half-done.
 *
 * @param clock the clock that leases run on
 * @example const journal = await memoryJournals().open(31337, genesisHash)
 */
export function memoryJournals(clock: Clock = systemClock): JournalStore {
  const epochs = new Map<EpochId, Journal>()
  const orders: Order[] = []
  let lastToken = 0n
  /** Tokens grow over all epochs. */
  const nextToken = (): bigint => {
    lastToken += 1n
    return lastToken
  }
  return {
    async open(chainId, genesisHash) {
      const id = epochId(chainId, genesisHash)
      const journal = epochs.get(id) ?? memoryJournal(id, orders, clock, nextToken)
      epochs.set(id, journal)
      return journal
    },
    async setTradingState(agent, state) {
      orders.push({ epoch: null, agent, state })
    },
  }
}

type Held = { lease: Lease; expiresAt: number }

function memoryJournal(epoch: EpochId, orders: Order[], clock: Clock, nextToken: () => bigint): Journal {
  // Maps keep the order in which their keys were first set, as the tables keep that of their rows.
  const runs = new Map<RunId, RunRecord>()
  const intents = new Map<IntentId, IntentRecord>()
  const attempts = new Map<AttemptId, AttemptRecord>()
  const leases = new Map<Address, Held>()

  const found = <Id extends string, T>(
    records: Map<Id, T>,
    kind: 'run' | 'intent' | 'attempt',
    id: Id,
  ): T => {
    const record = records.get(id)
    if (record === undefined) throw new UnknownRecordError(kind, id)
    return record
  }
  const put = <T extends { readonly id: string }>(records: Map<T['id'], T>, record: NoInfer<T>): T => {
    records.set(record.id, Object.freeze(record))
    return record
  }
  const of = (agent: AgentId | undefined, record: { agent: AgentId }) =>
    agent === undefined || record.agent === agent
  const agentOf = (attempt: AttemptRecord): AgentId => found(intents, 'intent', attempt.intentId).agent
  const isOpen = ({ status }: AttemptRecord) =>
    status === 'prepared' || status === 'signed' || status === 'broadcast' || status === 'unknown'
  const fence = (lease: Lease): void => {
    if (leases.get(getAddress(lease.account))?.lease.token !== lease.token) throw new FencedError(lease)
  }

  return {
    epoch,

    async startRun(run) {
      const stored = runs.get(run.id)
      if (stored !== undefined)
        return stored.status === 'failed' ? put(runs, { ...stored, status: 'started' }) : stored
      return put(runs, {
        id: run.id,
        agent: run.agent,
        account: getAddress(run.account),
        blockNumber: run.blockNumber,
        blockHash: lower(run.blockHash),
        status: 'started',
        decision: null,
        error: null,
      })
    },

    async decide(id, decision, intent) {
      checkDecision(decision, intent)
      const run = found(runs, 'run', id)
      if (run.status === 'decided') return run
      if (intent !== null)
        put(intents, {
          id: intent.id,
          runId: id,
          agent: run.agent,
          account: run.account,
          action: decodeAction(encodeAction(intent.action)),
          status: 'proposed',
          decidedOnBlock: run.blockNumber,
          verdicts: [],
        })
      return put(runs, { ...run, status: 'decided', decision: storedDecision(decision) })
    },

    async failRun(id, error) {
      const run = found(runs, 'run', id)
      put(runs, { ...run, status: run.status === 'decided' ? 'decided' : 'failed', error: storable(error) })
    },

    async intent(id) {
      return intents.get(id) ?? null
    },

    async recordVerdict(id, given, status) {
      const intent = found(intents, 'intent', id)
      if (intent.status !== 'proposed') return intent
      const verdict = storableVerdict(given)
      const last = intent.verdicts.at(-1)
      const again = last !== undefined && sameVerdict(last, verdict)
      return put(intents, {
        ...intent,
        status,
        verdicts: again ? intent.verdicts : [...intent.verdicts, verdict],
      })
    },

    async expireIntent(id) {
      const intent = found(intents, 'intent', id)
      return intent.status === 'proposed' ? put(intents, { ...intent, status: 'expired' }) : intent
    },

    async openIntents() {
      return [...intents.values()].filter((intent) => intent.status === 'proposed')
    },

    async acquireLease(address, holder, seconds) {
      const account = getAddress(address)
      const held = leases.get(account)
      const isOwn = held?.lease.holder === holder
      if (held !== undefined && !isOwn && held.expiresAt > clock.now()) return null
      const lease = isOwn ? held.lease : { account, holder, token: nextToken() }
      leases.set(account, { lease, expiresAt: clock.now() + seconds * 1_000 })
      return lease
    },

    async releaseLease(lease) {
      const held = leases.get(getAddress(lease.account))
      if (held?.lease.token === lease.token) held.expiresAt = clock.now()
    },

    async prepare(lease, attempt) {
      checkPrepared(lease, attempt)
      fence(lease)
      const stored = attempts.get(attempt.id)
      if (stored !== undefined) return stored
      const intent = found(intents, 'intent', attempt.intentId)
      if (intent.status !== 'proposed')
        throw new StatusConflictError('intent', intent.id, intent.status, 'be signed')
      const account = getAddress(attempt.account)
      const taken = [...attempts.values()]
        .filter((other) => other.account === account && other.status !== 'dropped')
        .flatMap(noncesOf)
      const clash = noncesOf(attempt).find((nonce) => taken.includes(nonce))
      if (clash !== undefined) throw new NonceTakenError(attempt.account, clash, attempt.id)
      put(intents, { ...intent, status: 'signed' })
      return put(attempts, {
        ...attempt,
        account,
        plan: decodePlan(encodePlan(attempt.plan)),
        planHash: lower(attempt.planHash),
        expected: storedOutcome(attempt.expected),
        status: 'prepared',
        raw: null,
        hash: null,
        blockNumber: null,
        blockHash: null,
        actual: null,
        spent: null,
        failure: null,
      })
    },

    async sign(lease, id, { raw, hash }) {
      fence(lease)
      const attempt = found(attempts, 'attempt', id)
      if (attempt.account !== getAddress(lease.account))
        throw new InvariantError('The lease is on another account than the attempt.', { attempt: id })
      if (attempt.status === 'dropped')
        throw new StatusConflictError('attempt', id, attempt.status, 'be signed')
      if (attempt.status !== 'prepared') return attempt
      return put(attempts, { ...attempt, status: 'signed', raw: lower(raw), hash: lower(hash) })
    },

    async markBroadcast(id) {
      const attempt = found(attempts, 'attempt', id)
      if (attempt.status === 'prepared')
        throw new StatusConflictError('attempt', id, attempt.status, 'be broadcast')
      if (attempt.status === 'signed') put(attempts, { ...attempt, status: 'broadcast' })
    },

    async settle(id, settlement) {
      const attempt = found(attempts, 'attempt', id)
      if (judgeSettlement(id, attempt.status, settlement) === 'keep') return attempt
      const intent = found(intents, 'intent', attempt.intentId)
      put(intents, { ...intent, status: settledIntent(settlement) })
      const { status } = settlement
      const failure = 'failure' in settlement ? storable(settlement.failure) : null
      if ('actual' in settlement) {
        const { blockNumber, blockHash, spent, actual } = settlement
        return put(attempts, {
          ...attempt,
          status,
          blockNumber,
          blockHash: lower(blockHash),
          spent,
          failure,
          actual: actual === null ? null : storedOutcome(actual),
        })
      }
      return put(attempts, { ...attempt, status, failure, spent: status === 'dropped' ? usd(0n) : null })
    },

    async inFlight(account) {
      return [...attempts.values()]
        .filter(
          (attempt) => isOpen(attempt) && (account === undefined || attempt.account === getAddress(account)),
        )
        .sort((a, b) => (a.nonce < b.nonce ? -1 : a.nonce > b.nonce ? 1 : 0))
    },

    async nextNonce(account) {
      const used = [...attempts.values()]
        .filter((attempt) => attempt.account === getAddress(account) && attempt.status !== 'dropped')
        .flatMap(noncesOf)
      return used.length === 0 ? null : highest(used) + 1n
    },

    async history(agent, address, since) {
      const account = getAddress(address)
      const ofAccount = [...attempts.values()].filter((attempt) => attempt.account === account)
      const own = ofAccount.filter((attempt) => agentOf(attempt) === agent)
      const acted = own.filter(({ status, raw }) => status !== 'dropped' || raw !== null)
      const equities = [...runs.values()]
        .filter((run) => run.agent === agent && run.account === account)
        .flatMap(({ decision }) => (decision === null ? [] : [decision.equity]))
      return {
        spent: usd(
          own.reduce(
            (sum, attempt) =>
              sum +
              (isOpen(attempt) ? attempt.reserved : attempt.signedAt >= since ? (attempt.spent ?? 0n) : 0n),
            0n,
          ),
        ),
        inFlight: ofAccount.filter(isOpen).length,
        lastActionAt: acted.length === 0 ? null : highest(acted.map(({ signedAt }) => signedAt)),
        peakEquity: equities.length === 0 ? null : (highest(equities) as Usd),
      }
    },

    async tradingState(agent) {
      const states: TradingState[] = []
      const persons = orders.filter((order) => order.epoch === null)
      for (const scope of [null, agent]) {
        const last = persons.filter((order) => order.agent === scope).at(-1)
        if (last !== undefined) states.push(last.state)
      }
      const resumed = orders.findLastIndex(
        (order) =>
          order.epoch === null && order.state === 'active' && (order.agent === null || order.agent === agent),
      )
      if (orders.slice(resumed + 1).some((order) => order.epoch === epoch && order.agent === agent))
        states.push('reducing')
      return strictest(states)
    },

    async freeze(agent) {
      orders.push({ epoch, agent, state: 'reducing' })
    },

    async runs(agent) {
      return [...runs.values()].filter((run) => of(agent, run))
    },
    async intents(agent) {
      return [...intents.values()].filter((intent) => of(agent, intent))
    },
    async attempts(agent) {
      return [...attempts.values()].filter((attempt) => agent === undefined || agentOf(attempt) === agent)
    },
    async counts() {
      return { runs: runs.size, intents: intents.size, attempts: attempts.size }
    },
  }
}

const storedDecision = (decision: DecisionRecord): DecisionRecord => ({
  ...decision,
  snapshotHash: lower(decision.snapshotHash),
  reason: storable(decision.reason),
  fallbackReason: decision.fallbackReason === null ? null : storable(decision.fallbackReason),
  model: decision.model === null ? null : storable(decision.model),
})

const storedOutcome = (outcome: Outcome): Outcome => ({
  ...outcome,
  balanceChanges: outcome.balanceChanges.map(({ token, change }) => ({ token: getAddress(token), change })),
})

const lower = (hex: Hex): Hex => hex.toLowerCase() as Hex

const highest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b > a ? b : a))
