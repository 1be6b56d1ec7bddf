import { type Address, getAddress, isAddressEqual } from 'viem'
import { storable } from '../../infra/store/columns.ts'
import { decodeAction, encodeAction, sameVerdict, storableVerdict } from '../../infra/store/json.ts'
import { checkDecision } from '../../infra/store/rules.ts'
import { isOpen } from '../../runtime/core/attempts.ts'
import { type AgentId, type EpochId, epochId } from '../../runtime/core/ids.ts'
import {
  type DecisionRecord,
  FencedError,
  type Journal,
  type JournalStore,
  type Lease,
} from '../../runtime/core/journal.ts'
import { type Usd, usd } from '../../runtime/core/units.ts'
import { denials, strictest, type TradingState, type Verdict } from '../../runtime/core/verdict.ts'
import { memoryApprovals } from './memoryApprovals.ts'
import { agentOf, memoryAttempts } from './memoryAttempts.ts'
import { emptyTables, found, highest, lower, nonceKey, put } from './memoryTables.ts'

/** An order to trade or not to. `epoch` null: a person gave it, for every epoch; with neither agent nor account: to all. */
type Order = {
  readonly epoch: EpochId | null
  readonly agent: AgentId | null
  readonly account: Address | null
  readonly state: TradingState
}

/**
 * The in-memory twin of the journals: the same port, the same musts, nothing on disk. Every method does its work in
 * one go, so none can be seen half-done.
 *
 * @param options.now the database's time, in milliseconds, which leases run on; a simulation gives its virtual clock's
 * @example const journal = await memoryJournals().open(31337, genesisHash)
 */
export function memoryJournals({ now = Date.now }: { readonly now?: () => number } = {}): JournalStore {
  const epochs = new Map<EpochId, Journal>()
  const orders: Order[] = []
  let lastToken = 0n
  /** As the tables have it: microseconds since 1970, so that tokens rise even after what is here was thrown back. */
  const nextToken = (): bigint => {
    const time = BigInt(Math.floor(now() * 1_000))
    lastToken = time > lastToken ? time : lastToken + 1n
    return lastToken
  }
  return {
    async open(chainId, genesisHash) {
      const id = epochId(chainId, genesisHash)
      const journal = epochs.get(id) ?? memoryJournal(id, orders, now, nextToken)
      epochs.set(id, journal)
      return journal
    },
    async all() {
      return [...epochs.values()]
    },
    async setTradingState(scope, state) {
      const agent = scope !== 'all' && 'agent' in scope ? scope.agent : null
      const account = scope !== 'all' && 'account' in scope ? getAddress(scope.account) : null
      orders.push({ epoch: null, agent, account, state })
    },
  }
}

type Held = { lease: Lease; expiresAt: number }

function memoryJournal(epoch: EpochId, orders: Order[], now: () => number, nextToken: () => bigint): Journal {
  const tables = emptyTables()
  const { runs, intents, attempts } = tables
  const leases = new Map<Address, Held>()
  const of = (agent: AgentId | undefined, record: { agent: AgentId }) =>
    agent === undefined || record.agent === agent
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
      if (held !== undefined && !isOwn && held.expiresAt > now()) return null
      const lease = isOwn ? held.lease : { account, holder, token: nextToken() }
      leases.set(account, { lease, expiresAt: now() + seconds * 1_000 })
      return lease
    },

    async releaseLease(lease) {
      const held = leases.get(getAddress(lease.account))
      if (held?.lease.token === lease.token) held.expiresAt = now()
    },

    ...memoryAttempts(tables, fence),
    ...memoryApprovals(tables),

    async history(agent, address, since, apart = null) {
      const account = getAddress(address)
      const onAccount = [...attempts.values()].filter(({ plan }) => plan.account === account)
      const own = onAccount.filter((attempt) => [agent, null].includes(agentOf(tables, attempt)))
      const spending = own.filter((one) => apart === null || !isAddressEqual(one.account, apart))
      const acted = own.filter(({ status, purpose }) => status !== 'dropped' && purpose !== 'fill')
      const equities = [...runs.values()]
        .filter((run) => run.agent === agent && run.account === account)
        .flatMap(({ decision }) => (decision === null ? [] : [decision.equity]))
      // Of all on one nonce only one can be mined: the dearest of them is what may be spent.
      const reserved = new Map<string, bigint>()
      for (const attempt of spending.filter(({ status }) => isOpen(status)))
        reserved.set(nonceKey(attempt), highest([attempt.reserved, reserved.get(nonceKey(attempt)) ?? 0n]))
      const spent = spending
        .filter(({ status, signedAt }) => !isOpen(status) && signedAt >= since)
        .map((attempt) => attempt.spent ?? 0n)
      return {
        spent: usd([...reserved.values(), ...spent].reduce((sum, one) => sum + one, 0n)),
        inFlight: new Set(onAccount.filter(({ status }) => isOpen(status)).map(nonceKey)).size,
        lastActionAt: acted.length === 0 ? null : highest(acted.map(({ signedAt }) => signedAt)),
        peakEquity: equities.length === 0 ? null : (highest(equities) as Usd),
      }
    },

    async goodSince(agent, address, excused) {
      const account = getAddress(address)
      const mine = (record: { agent: AgentId; account: Address }) =>
        record.agent === agent && record.account === account
      const isFault = (verdict: Verdict) =>
        denials(verdict).some(({ code }) => code !== null && !excused.includes(code))
      const own = [...intents.values()].filter(mine)
      const denied = own.filter(({ verdicts }) => verdicts.some(isFault)).map((one) => one.decidedOnBlock)
      const deviated = [...attempts.values()]
        .filter(({ intentId, status }) =>
          own.some((one) => one.id === intentId && one.status === 'deviated' && status === 'confirmed'),
        )
        .flatMap(({ blockNumber }) => (blockNumber === null ? [] : [blockNumber]))
      const first = [...runs.values()].filter(mine).map(({ blockNumber }) => blockNumber)
      const begun = first.length === 0 ? [] : [first.reduce((a, b) => (b < a ? b : a))]
      const blocks = [...denied, ...deviated, ...begun]
      return blocks.length === 0 ? null : highest(blocks)
    },

    async tradingState(agent, account) {
      const states: TradingState[] = []
      const last = (of: (order: Order) => boolean) =>
        orders.findLast((order) => order.epoch === null && of(order))?.state ?? 'active'
      states.push(last((order) => order.agent === null && order.account === null))
      states.push(last((order) => order.agent === agent))
      states.push(last((order) => order.account === getAddress(account)))
      const resumed = orders.findLastIndex(
        (order) =>
          order.epoch === null &&
          order.state === 'active' &&
          order.account === null &&
          (order.agent === null || order.agent === agent),
      )
      if (orders.slice(resumed + 1).some((order) => order.epoch === epoch && order.agent === agent))
        states.push('reducing')
      return strictest(states)
    },

    async freeze(agent) {
      orders.push({ epoch, agent, account: null, state: 'reducing' })
    },

    async runs(agent) {
      return [...runs.values()].filter((run) => of(agent, run))
    },
    async intents(agent) {
      return [...intents.values()].filter((intent) => of(agent, intent))
    },
    async attempts(agent) {
      return [...attempts.values()].filter(
        (attempt) => agent === undefined || agentOf(tables, attempt) === agent,
      )
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
