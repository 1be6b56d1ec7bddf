import type { Address } from 'viem'
import { canonicalHash } from '../../runtime/core/canonical.ts'
import type { AttemptId, Hash } from '../../runtime/core/ids.ts'
import { type Plan, senderOf } from '../../runtime/core/lifecycle.ts'
import type { LedgerAttempt, SignRequest } from '../../runtime/core/ports.ts'
import { SignerError } from './errors.ts'
import { createSpendWindow, type Movement, type Moving, type SpendWindow } from './spendWindow.ts'
import type { StandingRecord } from './standings.ts'

/** One signature, as the ledger keeps it. */
export type SignedRecord = LedgerAttempt & {
  /** Whose nonce it uses: the plan's sender. */
  readonly account: Address
  /** What it lets move at most, of which the allowances are taken. */
  readonly moved: readonly Movement[]
}

/** What a plan is, as far as a nonce that has a signature is concerned. */
export type PlanContent = 'empty' | 'riskReducing' | 'other'

/** What was signed on one chain, and who may have more signed. */
export type SigningHistory = {
  /**
   * The signature that a request has already, or null when it is a new one.
   *
   * @throws {SignerError} `FENCED`, `ATTEMPT_ABANDONED`, or `INTENT_SIGNED` for an attempt that was signed otherwise.
   */
  replay(request: SignRequest): SignedRecord | null
  /** Whether the nonce has a signature for the same intent that does the very same until the same block. */
  repeats(request: SignRequest): boolean
  /**
   * Whether the past lets a new request have a signature.
   *
   * @throws {SignerError} `INTENT_SIGNED`, `NONCE_SIGNED` or `REPLACEMENT_UNDERPRICED`.
   */
  admit(request: SignRequest, content: PlanContent): void
  /** What signatures of an account within the last seconds would let move of a token, this one included. */
  totalWith(account: Address, windowSeconds: number, signature: Moving, token: string): bigint
  /** The latest time at which anything was signed, in seconds since 1970; 0 when nothing was. */
  latest(): bigint
  /** The highest fencing token that was recorded for an account; null when there is none. */
  fenceOf(account: Address): bigint | null
  find(account: Address, attempt: AttemptId): SignedRecord | null
  /** All signatures of an account from a nonce on, in the order they were made. */
  signedFrom(account: Address, nonce: bigint): readonly SignedRecord[]
  isAbandoned(account: Address, attempt: AttemptId): boolean
  /** Seconds for which an account was in good standing when that was last recorded; 0 when it never was. */
  standingOf(account: Address): bigint
  /** Takes up a signature that is recorded durably. */
  addSigned(record: SignedRecord): void
  /** Takes up a fencing token that is recorded durably. */
  addFence(account: Address, fence: bigint): void
  /** Takes up that nothing will be signed for an attempt, which is recorded durably. */
  addAbandoned(account: Address, attempt: AttemptId): void
  /** Takes up a standing that is recorded durably. */
  addStanding(record: Omit<StandingRecord, 'denial'>): void
}

/**
 * The rules of signing twice, in memory.
 *
 * An intent lives on one nonce, ever. One nonce mines one transaction at most; so whatever else is signed, an intent
 * is mined at most once. A nonce that has a signature gets another only when both fees are at least a tenth higher
 * than all before, as nodes demand of a replacement, and only for
 * - the same intent, doing the same until the same block,
 * - an empty transaction, or
 * - something that reduces risk, of an intent that the nonce does not know yet.
 *
 * A nonce that only an authorisation may use gets an empty transaction, or something that reduces risk: when the first
 * transaction was cancelled it may be the lowest that is free, and a rescue must not wait for somebody to fill it.
 */
export function createSigningHistory(): SigningHistory {
  const accounts = new Map<string, AccountHistory>()
  let latest = 0n
  const historyOf = (account: Address): AccountHistory => {
    const key = account.toLowerCase()
    const known = accounts.get(key)
    if (known !== undefined) return known
    const fresh = emptyHistory()
    accounts.set(key, fresh)
    return fresh
  }

  const repeats = ({ plan, nonce }: SignRequest): boolean => {
    const deed = deedOf(plan)
    return (historyOf(senderOf(plan)).byNonce.get(nonce) ?? []).some(
      (earlier) => earlier.plan.intentId === plan.intentId && deedOf(earlier.plan) === deed,
    )
  }

  return {
    replay(request) {
      const { plan, nonce, attemptId, fence } = request
      const account = senderOf(plan)
      const past = historyOf(account)
      if (fence !== 'protector' && past.fence !== null && fence < past.fence)
        throw fenced(account, fence, past.fence)
      const same = past.byAttempt.get(attemptId)
      if (same?.nonce === nonce && same.planHash === request.planHash) return same
      if (same !== undefined) throw intentSigned(same, `Attempt ${attemptId}`)
      if (!past.abandoned.has(attemptId)) return null
      throw new SignerError('ATTEMPT_ABANDONED', `Attempt ${attemptId} was given up.`, {
        fix: 'Let the intent be decided anew: its nonce may be another attempt’s by now.',
        details: { account, attemptId },
      })
    },
    repeats,
    admit(request, content) {
      const { plan, nonce } = request
      const past = historyOf(senderOf(plan))
      const earlier = past.byIntent.get(plan.intentId)
      if (earlier !== undefined && earlier.nonce !== nonce)
        throw intentSigned(earlier, `Intent ${plan.intentId}`)
      const rivals = past.byNonce.get(nonce) ?? []
      const [first] = rivals
      const authorising = past.bySecondNonce.get(nonce)
      if (first !== undefined) {
        const mayReplace =
          content === 'empty' ||
          repeats(request) ||
          (content === 'riskReducing' && rivals.every((rival) => rival.plan.intentId !== plan.intentId))
        if (!mayReplace) throw nonceSigned(first, nonce)
        requireHigherFees(plan, rivals)
      } else if (authorising !== undefined && content === 'other') throw nonceSigned(authorising, nonce)
      if (plan.delegateTo === null || rivals.some(({ noncesUsed }) => noncesUsed === 2)) return
      const [next] = past.byNonce.get(nonce + 1n) ?? []
      if (next !== undefined) throw nonceSigned(next, nonce + 1n)
    },
    totalWith: (account, windowSeconds, signature, token) =>
      windowOf(historyOf(account), windowSeconds).totalWith(signature, token),
    latest: () => latest,
    fenceOf: (account) => historyOf(account).fence,
    find: (account, attempt) => historyOf(account).byAttempt.get(attempt) ?? null,
    signedFrom: (account, nonce) => historyOf(account).records.filter((record) => record.nonce >= nonce),
    isAbandoned: (account, attempt) => historyOf(account).abandoned.has(attempt),
    standingOf: (account) => historyOf(account).goodFor,
    addSigned(record) {
      const past = historyOf(record.account)
      const { nonce, plan, fence } = record
      past.records.push(record)
      past.byNonce.set(nonce, [...(past.byNonce.get(nonce) ?? []), record])
      if (record.noncesUsed === 2) past.bySecondNonce.set(nonce + 1n, record)
      past.byAttempt.set(record.attemptId, record)
      past.byIntent.set(plan.intentId, record)
      for (const window of past.windows.values()) window.add(record)
      if (record.signedAt > latest) latest = record.signedAt
      if (fence !== 'protector') raise(past, fence)
    },
    addFence: (account, fence) => raise(historyOf(account), fence),
    addAbandoned: (account, attempt) => historyOf(account).abandoned.add(attempt),
    addStanding({ account, seconds }) {
      historyOf(account).goodFor = seconds
    },
  }
}

type AccountHistory = {
  fence: bigint | null
  /** Seconds in good standing. */
  goodFor: bigint
  /** In the order they were made. */
  readonly records: SignedRecord[]
  readonly byNonce: Map<bigint, readonly SignedRecord[]>
  /** Nonces that an authorisation may use, with the last transaction that carries one. */
  readonly bySecondNonce: Map<bigint, SignedRecord>
  readonly byAttempt: Map<string, SignedRecord>
  readonly byIntent: Map<string, SignedRecord>
  readonly abandoned: Set<string>
  /** By their length in seconds, made when a policy first asks. */
  readonly windows: Map<number, SpendWindow>
}

const emptyHistory = (): AccountHistory => ({
  fence: null,
  goodFor: 0n,
  records: [],
  byNonce: new Map(),
  bySecondNonce: new Map(),
  byAttempt: new Map(),
  byIntent: new Map(),
  abandoned: new Set(),
  windows: new Map(),
})

function windowOf(past: AccountHistory, seconds: number): SpendWindow {
  const known = past.windows.get(seconds)
  if (known !== undefined) return known
  const window = createSpendWindow(seconds)
  for (const record of past.records) window.add(record)
  past.windows.set(seconds, window)
  return window
}

function raise(past: AccountHistory, fence: bigint): void {
  if (past.fence === null || fence > past.fence) past.fence = fence
}

/** What a plan does, and until when: all that a replacement must leave as it is. */
const deedOf = ({ calls, delegateTo, via, lastValidBlock }: Plan): Hash =>
  canonicalHash({
    calls: calls.map(({ to, value, data }) => ({ to: to.toLowerCase(), value, data: data.toLowerCase() })),
    delegateTo: delegateTo?.toLowerCase() ?? null,
    lastValidBlock,
    via:
      via === undefined
        ? null
        : [via.kind, via.modifier, via.multiSend, via.roleKey, via.sender].map((part) => part.toLowerCase()),
  })

/** What a node demands of a replacement at least: 110 % of both fees, rounded up. */
const replacementOf = (fee: bigint): bigint => (fee * 11n + 9n) / 10n

function requireHigherFees(plan: Plan, rivals: readonly SignedRecord[]): void {
  const highest = (fee: 'maxFeePerGas' | 'maxPriorityFeePerGas') =>
    rivals.reduce((most, rival) => (rival.plan[fee] > most ? rival.plan[fee] : most), 0n)
  const maxFeePerGas = replacementOf(highest('maxFeePerGas'))
  const maxPriorityFeePerGas = replacementOf(highest('maxPriorityFeePerGas'))
  if (plan.maxFeePerGas >= maxFeePerGas && plan.maxPriorityFeePerGas >= maxPriorityFeePerGas) return
  throw new SignerError(
    'REPLACEMENT_UNDERPRICED',
    `A replacement has to pay at least ${maxFeePerGas} wei per gas, ${maxPriorityFeePerGas} of them as priority fee.`,
    { fix: 'Raise both fees and ask again.', details: { maxFeePerGas, maxPriorityFeePerGas } },
  )
}

const fenced = (account: Address, fence: bigint, newest: bigint): SignerError =>
  new SignerError('FENCED', `The fencing token ${fence} of ${account} is older than ${newest}.`, {
    fix: 'Acquire the lease again. If the journal was lost or replaced, restore it: its tokens must go on rising.',
    retryable: true,
    details: { account, fence, newest },
  })

const intentSigned = ({ account, plan, nonce, attemptId }: SignedRecord, what: string): SignerError =>
  new SignerError('INTENT_SIGNED', `${what} has a signature already, on nonce ${nonce}.`, {
    fix: 'Follow the transaction that was signed, or replace it on its nonce; an intent never gets another nonce.',
    details: { account, intentId: plan.intentId, attemptId, nonce },
  })

const nonceSigned = (holder: SignedRecord, nonce: bigint): SignerError =>
  new SignerError(
    'NONCE_SIGNED',
    `Nonce ${nonce} of ${holder.account} was signed for attempt ${holder.attemptId}.`,
    {
      fix: 'Follow that transaction until it is mined, and take the next free nonce.',
      details: { account: holder.account, nonce, attemptId: holder.attemptId },
    },
  )
