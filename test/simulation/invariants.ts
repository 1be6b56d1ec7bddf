import { type AttemptStatus, isOpen, mayMove } from '../../runtime/core/attempts.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { isRiskReducing } from '../../runtime/core/intent.ts'
import type { AttemptRecord, IntentRecord, Journal } from '../../runtime/core/journal.ts'
import type { SubmissionRoute } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { nonceIn, priceIn } from '../twins/chain/marketState.ts'
import type { MemoryChain } from '../twins/memoryChain.ts'
import type { Approvers } from './approvers.ts'
import type { JournalHost } from './journalHost.ts'
import { unrescued, type Watched } from './rescues.ts'
import { ACCOUNT } from './scene.ts'
import { createSignatureChecks } from './signatures.ts'
import type { SignerHost } from './signerHost.ts'

/** What must hold, whatever happens. */
export const invariants = [
  'mined per intent is at most one',
  'an intent has signatures on one nonce only',
  "nothing is signed against the owner's orders",
  'nothing that needs a person is signed without one',
  'the protector leaves time to whoever thinks',
  'bytes stay private as long as the policy says',
  'spent stays under the cap',
  'bytes are recorded before they are sent',
  'attempts move along the arrows of the state machine only',
  'no intent is lost',
  'the journal equals the chain',
  'no nonce gap is left',
  'a position under the hard floor is rescued',
] as const
export type Invariant = (typeof invariants)[number]

export type Violation = { readonly invariant: Invariant; readonly what: string; readonly at: number }

export type Monitor = {
  /** After a write to the journal. */
  afterWrite(): Promise<void>
  /** The journal was thrown back: what it says now is where it goes on from. */
  afterThrowBack(): Promise<void>
  /** Bytes reach a node or a relay, from the protector or from an engine. */
  onSend(hash: Hash, route: SubmissionRoute, from: 'protector' | 'engine'): void
  /** A block came, or a reorganisation. */
  onChain(): Promise<void>
  /** What is still wrong when everything should have come to rest; empty when all is well. */
  atRest(): Promise<readonly Omit<Violation, 'at'>[]>
  readonly violations: readonly Violation[]
  readonly arrows: ReadonlyMap<string, number>
}

export type MonitorParameters = {
  readonly chain: MemoryChain
  readonly journal: JournalHost
  readonly signer: SignerHost
  readonly policy: Policy
  readonly approvers: Approvers
  readonly graceBlocks: bigint | null
  readonly watched: () => Watched
  readonly now: () => number
}

/** Of one invariant: what breaks it often hides no other. */
const KEPT = 5

export function createMonitor(parameters: MonitorParameters): Monitor {
  const { chain, journal: host, signer, policy, now } = parameters
  let statuses = new Map<string, AttemptStatus>()
  const arrows = new Map<string, number>()
  /** Hashes of bytes that the journal had at some time. */
  const recorded = new Set<Hash>()
  const violations: Violation[] = []
  const told = new Set<string>()
  const violate = (invariant: Invariant, what: string) => {
    const kept = violations.filter((one) => one.invariant === invariant).length
    if (told.has(`${invariant}${what}`) || kept >= KEPT) return
    told.add(`${invariant}${what}`)
    violations.push({ invariant, what, at: now() })
  }

  const signatures = createSignatureChecks({ ...parameters, violate })

  /** Own transactions on the chain as it is now. */
  function ownMined() {
    const byHash = new Map(signer.signed.map((record) => [record.hash, record]))
    return chain.minedOf(ACCOUNT).flatMap(({ transaction, receipt, block }) => {
      const record = byHash.get(transaction.hash)
      return record === undefined ? [] : [{ record, receipt, block }]
    })
  }

  function checkOnce(mined: ReturnType<typeof ownMined>): void {
    const counts = new Map<string, number>()
    for (const { record } of mined) {
      const { intentId } = record.plan
      counts.set(intentId, (counts.get(intentId) ?? 0) + 1)
      if ((counts.get(intentId) ?? 0) > 1) violate('mined per intent is at most one', intentId)
    }
  }

  async function checkSpent(journal: Journal, mined: ReturnType<typeof ownMined>): Promise<void> {
    const attempts = new Map((await journal.attempts()).map((attempt) => [attempt.hash, attempt]))
    const intents = new Map((await journal.intents()).map((intent) => [intent.id, intent]))
    const costs = mined.flatMap(({ record, receipt, block }) => {
      const attempt = attempts.get(record.hash)
      const intent = intents.get(record.plan.intentId)
      // What the journal lost in a power cut has nobody's cap: the signer's allowances bound it.
      if (attempt === undefined || intent === undefined) return []
      const wei = receipt.gasUsed * receipt.effectiveGasPrice
      const price = priceIn(block.parent?.state ?? block.state, WETH)
      return [{ attempt, intent, usd: (wei * price) / 10n ** 18n }]
    })
    for (const { attempt, intent } of costs) {
      const from = attempt.signedAt - BigInt(policy.spend.windowSeconds)
      const within = costs.filter(
        (other) =>
          other.intent.agent === intent.agent &&
          other.attempt.signedAt >= from &&
          other.attempt.signedAt <= attempt.signedAt,
      )
      const isRescue = within.some((other) => isRiskReducing(other.intent.action))
      const cap = isRescue ? policy.riskReducing.spend.rolling : policy.spend.rolling
      const total = within.reduce((sum, { usd }) => sum + usd, 0n)
      if (total > cap) violate('spent stays under the cap', `${total} of ${cap} up to ${attempt.id}`)
    }
  }

  async function statusesNow(): Promise<Map<string, AttemptStatus>> {
    const attempts = await host.journal.attempts()
    for (const { hash } of attempts) if (hash !== null) recorded.add(hash)
    return new Map(attempts.map(({ id, status }) => [id, status]))
  }

  return {
    violations,
    arrows,
    async afterWrite() {
      signatures.checkNew()
      const current = await statusesNow()
      for (const [id, to] of current) {
        const from = statuses.get(id) ?? null
        if (from === to) continue
        arrows.set(`${from ?? 'none'} > ${to}`, (arrows.get(`${from ?? 'none'} > ${to}`) ?? 0) + 1)
        if (!mayMove(from, to))
          violate('attempts move along the arrows of the state machine only', `${id}: ${from} > ${to}`)
      }
      statuses = current
    },
    async afterThrowBack() {
      statuses = await statusesNow()
    },
    onSend(hash, route, from) {
      signatures.checkNew()
      signatures.checkSent(hash, route)
      const isSigned = signer.signed.some((record) => record.hash === hash)
      // The protector has no journal: the signer's ledger is its record.
      if (!isSigned || (from === 'engine' && !recorded.has(hash)))
        violate('bytes are recorded before they are sent', hash)
    },
    async onChain() {
      signatures.remember()
      signatures.checkNew()
      const mined = ownMined()
      checkOnce(mined)
      await checkSpent(host.journal, mined)
    },
    async atRest() {
      const [attempts, intents] = await Promise.all([host.journal.attempts(), host.journal.intents()])
      return [
        ...checkLost(intents),
        ...checkEqual(attempts, intents),
        ...(await checkGaps(host.journal)),
        ...checkRescued(),
      ]
    },
  }

  function checkRescued(): Omit<Violation, 'at'>[] {
    const what = unrescued(parameters)
    return what === null ? [] : [{ invariant: 'a position under the hard floor is rescued', what }]
  }

  function checkLost(intents: readonly IntentRecord[]): Omit<Violation, 'at'>[] {
    return intents
      .filter(({ status }) => status === 'proposed' || status === 'signed')
      .map(({ id, status }) => ({ invariant: 'no intent is lost', what: `${id} is still ${status}` }))
  }

  function checkEqual(
    attempts: readonly AttemptRecord[],
    intents: readonly IntentRecord[],
  ): Omit<Violation, 'at'>[] {
    const wrong: Omit<Violation, 'at'>[] = []
    const differs = (what: string) => wrong.push({ invariant: 'the journal equals the chain', what })
    const mined = new Map(ownMined().map((one) => [one.record.hash, one]))
    const byHash = new Map(attempts.map((attempt) => [attempt.hash, attempt]))
    for (const [hash, { receipt, record }] of mined) {
      const attempt = byHash.get(hash)
      const expected = receipt.status === 'success' ? 'confirmed' : 'failed'
      if (attempt === undefined) differs(`${record.attemptId} is mined, and the journal does not know it`)
      else if (attempt.status !== expected)
        differs(`${attempt.id} is ${attempt.status}, and ${expected} on the chain`)
      else if (attempt.blockHash !== receipt.block.hash) differs(`${attempt.id} is in another block`)
    }
    for (const { id, status, hash } of attempts)
      if ((hash === null || !mined.has(hash)) && status !== 'replaced' && status !== 'dropped')
        differs(`${id} is ${status}, and not on the chain`)
    for (const { id, status } of intents) {
      const acts = attempts.filter(({ intentId, purpose }) => intentId === id && purpose === 'act')
      const has = (wanted: AttemptStatus) => acts.some((attempt) => attempt.status === wanted)
      const isRight = has('confirmed')
        ? status === 'done' || status === 'deviated'
        : has('failed')
          ? status === 'reverted'
          : !['done', 'deviated', 'reverted'].includes(status)
      if (!isRight && !acts.some((attempt) => isOpen(attempt.status)))
        differs(`intent ${id} is ${status}, and its attempts are ${acts.map((act) => act.status).join(', ')}`)
    }
    return wrong
  }

  async function checkGaps(journal: Journal): Promise<Omit<Violation, 'at'>[]> {
    const wrong: Omit<Violation, 'at'>[] = []
    const counted = nonceIn(chain.head().state, ACCOUNT)
    const next = await journal.nextNonce(ACCOUNT)
    if (next !== null && next > counted)
      wrong.push({
        invariant: 'no nonce gap is left',
        what: `the chain counts ${counted}, the journal ${next}`,
      })
    const pools = [{ host: 'the relay', pool: chain.hidden }, ...chain.nodes]
    for (const { host: name, pool } of pools)
      for (const { nonce, hash, from } of pool.all())
        if (from === ACCOUNT)
          wrong.push({ invariant: 'no nonce gap is left', what: `${hash} on ${nonce} waits at ${name}` })
    return wrong
  }
}
