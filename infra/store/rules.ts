import { isAddressEqual } from 'viem'
import {
  ApprovalClosedError,
  type ApprovalEnd,
  type ApprovalRecord,
  type ApprovalRequest,
} from '../../runtime/core/approvalRecords.ts'
import {
  type AdoptedAttempt,
  type AttemptPurpose,
  type AttemptStep,
  attemptStatuses,
  isOpen,
  mayMove,
  type OutsideTransaction,
} from '../../runtime/core/attempts.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { type AttemptId, fillId } from '../../runtime/core/ids.ts'
import type { Action } from '../../runtime/core/intent.ts'
import type {
  AttemptRecord,
  AttemptStatus,
  DecisionRecord,
  IntentStatus,
  Lease,
  PreparedAttempt,
  Settlement,
} from '../../runtime/core/journal.ts'
import { StatusConflictError } from '../../runtime/core/journal.ts'
import { type Plan, planHash, senderOf } from '../../runtime/core/lifecycle.ts'

/*
 * Rules that every journal keeps, whatever it writes to. The database holds most of them a second time, by its
 * constraints.
 */

/**
 * A decision and its intent belong together.
 *
 * @throws {InvariantError} when they name different kinds, or a fallback gives no reason or a reason no fallback.
 */
export function checkDecision(decision: DecisionRecord, intent: { action: Action } | null): void {
  if (decision.intent !== (intent?.action.kind ?? 'nothing'))
    throw new InvariantError('The decision and its intent are of different kinds.', {
      decision: decision.intent,
      intent: intent?.action.kind ?? null,
    })
  if ((decision.source === 'fallback') !== (decision.fallbackReason !== null))
    throw new InvariantError('A decision has a fallback reason exactly when it is a fallback.', {
      source: decision.source,
    })
}

/**
 * An attempt is about its own plan, under a lease on the account whose nonces it uses.
 *
 * @throws {InvariantError} when the plan, its hash or the lease is another's, or the purpose is another than the plan's.
 */
export function checkPrepared(lease: Lease, attempt: PreparedAttempt): void {
  const { id, purpose, plan, intentId, replaces, expected } = attempt
  checkPlan(lease, attempt)
  const isAct = purpose === 'act'
  const named = purpose === 'fill' ? fillId(attempt.account, attempt.nonce) : intentId
  if (purpose === 'adopted' || (purpose === 'fill') !== (intentId === null) || plan.intentId !== named)
    throw new InvariantError('The attempt is not of the intent that its plan is of.', { attempt: id })
  if (isAct === isEmpty(plan) || (!isAct && expected !== null))
    throw new InvariantError('The plan is not what the attempt is for.', { attempt: id, purpose })
  if (purpose === 'cancel' && replaces === null)
    throw new InvariantError('A cancel takes the place of an attempt.', { attempt: id })
}

/**
 * Bytes of the signer's ledger are about their own plan as well.
 *
 * @throws {InvariantError} when the plan, its hash or the lease is another's.
 */
export function checkAdopted(lease: Lease, attempt: AdoptedAttempt): void {
  checkPlan(lease, attempt)
  if (attempt.intentId !== null && attempt.plan.intentId !== attempt.intentId)
    throw new InvariantError('The attempt is not of the intent that its plan is of.', { attempt: attempt.id })
}

function checkPlan(lease: Lease, attempt: Omit<PreparedAttempt, 'purpose' | 'replaces' | 'expected'>): void {
  const { id, plan, account } = attempt
  if (!isAddressEqual(lease.account, account))
    throw new InvariantError('The lease is on another account than the attempt.', { attempt: id })
  if (
    plan.chainId !== attempt.chainId ||
    !isAddressEqual(senderOf(plan), account) ||
    planHash(plan) !== attempt.planHash.toLowerCase()
  )
    throw new InvariantError('The attempt carries a plan that is not its own.', { attempt: id })
}

/** A transaction of the sender to itself, with nothing in it. */
const isEmpty = (plan: Plan): boolean => plan.calls.length === 0

/** What bytes of the signer's ledger are for. @param ofIntent whether the journal has their intent open */
export const adoptedPurpose = (plan: Plan, ofIntent: boolean): AttemptPurpose =>
  isEmpty(plan) ? (ofIntent ? 'cancel' : 'fill') : ofIntent ? 'act' : 'adopted'

/**
 * The ledger's bytes are those of the attempt that was prepared: an attempt has one plan and one nonce, ever.
 *
 * @throws {InvariantError} when they are not.
 */
export function checkSameAttempt(
  stored: Pick<AttemptRecord, 'id' | 'account' | 'nonce' | 'planHash'>,
  { account, nonce, planHash: hash }: AdoptedAttempt,
): void {
  if (
    !isAddressEqual(stored.account, account) ||
    stored.nonce !== nonce ||
    stored.planHash !== hash.toLowerCase()
  )
    throw new InvariantError('The signer signed another plan under the name of a prepared attempt.', {
      attempt: stored.id,
    })
}

/**
 * Whether another attempt can take the place of this one, which is on the same nonce and has its bytes.
 *
 * @throws {InvariantError} when it is on another nonce, or has an intent that a `fill` would leave behind.
 * @throws {StatusConflictError} when it is not open, or not signed yet.
 */
export function checkReplaceable(
  replaced: Pick<AttemptRecord, 'id' | 'account' | 'nonce' | 'status' | 'intentId'>,
  by: PreparedAttempt,
): void {
  if (!isAddressEqual(replaced.account, by.account) || replaced.nonce !== by.nonce)
    throw new InvariantError('An attempt can only take the place of one on its own nonce.', {
      attempt: by.id,
    })
  if (by.purpose === 'fill' && replaced.intentId !== null)
    throw new InvariantError('What an intent has on a nonce is cancelled, not filled over.', {
      attempt: by.id,
    })
  if (!isOpen(replaced.status) || replaced.status === 'prepared')
    throw new StatusConflictError('attempt', replaced.id, replaced.status, 'be replaced')
}

/** Where the state machine lets an attempt come from, to get there. */
export const sourcesOf = (to: AttemptStatus): AttemptStatus[] =>
  attemptStatuses.filter((from) => mayMove(from, to))

/** Whether what the nonce of an attempt was used for is known. */
const isSettled = (status: AttemptStatus): boolean => !isOpen(status)

/**
 * Whether a step changes an attempt (`write`) or finds its work done (`keep`).
 *
 * @throws {StatusConflictError} when the attempt's status rules it out.
 */
export function judgeStep(
  { id, status, blockHash }: Pick<AttemptRecord, 'id' | 'status' | 'blockHash'>,
  step: AttemptStep,
): 'write' | 'keep' {
  const isSameBlock = step.to === 'mined' && step.block.hash.toLowerCase() === blockHash
  if (status === step.to) {
    // The same again, but perhaps for another reason, or, and that is none of the same, in another block.
    if (step.to === 'unknown') return 'write'
    if (step.to !== 'mined' || isSameBlock) return 'keep'
  } else {
    if (mayMove(status, step.to)) return 'write'
    const isFurther = {
      broadcast: status === 'mined' || isSettled(status),
      pending: status === 'mined' || isSettled(status),
      unknown: isSettled(status),
      mined: isSameBlock && (status === 'confirmed' || status === 'failed'),
      reorged: false,
    }
    if (isFurther[step.to]) return 'keep'
  }
  throw new StatusConflictError('attempt', id, status, `become ${step.to}`)
}

/**
 * Whether a settlement changes an attempt (`write`) or finds its work done (`keep`).
 *
 * @throws {StatusConflictError} when the attempt's status rules it out.
 */
export function judgeSettlement(
  { id, status, blockHash }: Pick<AttemptRecord, 'id' | 'status' | 'blockHash'>,
  settlement: Settlement,
): 'write' | 'keep' {
  if (mayMove(status, settlement.status)) return 'write'
  if (
    status === settlement.status &&
    (settlement.status === 'dropped' || settlement.blockHash.toLowerCase() === blockHash)
  )
    return 'keep'
  throw new StatusConflictError('attempt', id, status, `become ${settlement.status}`)
}

/** What a settlement makes of the attempt's intent, when the intent has nothing else open. */
export function settledIntent(purpose: AttemptPurpose, settlement: Settlement): IntentStatus {
  // Whatever became of an empty transaction: what was intended was not done.
  if (purpose !== 'act' || settlement.status === 'dropped') return 'expired'
  if (settlement.status === 'failed') return 'reverted'
  return settlement.deviated ? 'deviated' : 'done'
}

/** Statuses of a nonce's one attempt that is in a block deep enough. */
export const isFinal = (status: AttemptStatus): boolean => status === 'confirmed' || status === 'failed'

/** Why an attempt was replaced. */
export const replacedBy = (winner: AttemptId): string => `${winner} was mined on its nonce`

/** As {@link replacedBy}, by something that Rialto never signed. */
export const supersededBy = ({ hash }: OutsideTransaction): string =>
  `${hash === null ? 'something' : `transaction ${hash.toLowerCase()}`} outside of Rialto used its nonce`

/**
 * The nonces that an attempt keeps others off: none when nothing of it is or will be out, and only its first when
 * something else was mined on that, since then its authorisation never used the second.
 */
export const heldNonces = (
  attempt: Pick<PreparedAttempt, 'nonce' | 'noncesUsed'> & { readonly status: AttemptStatus },
): readonly bigint[] => {
  if (attempt.status === 'dropped') return []
  return attempt.status === 'replaced' ? [attempt.nonce] : noncesOf(attempt)
}

/** The nonces that an attempt uses up. */
export const noncesOf = ({
  nonce,
  noncesUsed,
}: Pick<PreparedAttempt, 'nonce' | 'noncesUsed'>): readonly bigint[] =>
  noncesUsed === 2 ? [nonce, nonce + 1n] : [nonce]

/**
 * A request is about its own plan.
 *
 * @throws {InvariantError} when its id, intent, account or policy are another's, or nothing could ever be enough.
 */
export function checkApprovalRequest(request: ApprovalRequest): void {
  const { id, plan, intentId, account, policyVersion, threshold, requestedAt, expiresAt } = request
  const isOwn =
    planHash(plan) === id.toLowerCase() &&
    plan.intentId === intentId &&
    plan.policyVersion === policyVersion &&
    isAddressEqual(plan.account, account)
  if (!isOwn) throw new InvariantError('The request for approval is not about its own plan.', { id })
  if (!Number.isSafeInteger(threshold) || threshold < 1 || expiresAt <= requestedAt)
    throw new InvariantError('The request for approval could never be answered.', { id })
}

/** Of a request: what it is, and where its intent stands. */
type Waiting = Pick<ApprovalRecord, 'id' | 'status' | 'expiresAt'> & { readonly intent: IntentStatus }

/**
 * Whether a signature may still be taken.
 *
 * @throws {ApprovalClosedError} when it may not.
 */
export function checkSignable({ id, status, expiresAt, intent }: Waiting, signedAt: bigint): void {
  if (status !== 'pending' && status !== 'approved') throw new ApprovalClosedError(id, `it is ${status}`)
  if (intent !== 'proposed') throw new ApprovalClosedError(id, `its intent is ${intent}`)
  if (signedAt >= expiresAt)
    throw new ApprovalClosedError(id, `it expired ${signedAt - expiresAt} seconds ago`)
}

/**
 * Whether an end changes a request (`write`) or finds its work done (`keep`).
 *
 * @throws {ApprovalClosedError} when it ended in another way, or its plan was signed.
 */
export function judgeApprovalEnd({ id, status, intent }: Waiting, end: ApprovalEnd): 'write' | 'keep' {
  if (status === end) return 'keep'
  if (status !== 'pending' && status !== 'approved') throw new ApprovalClosedError(id, `it is ${status}`)
  if (intent === 'signed' || intent === 'done' || intent === 'reverted' || intent === 'deviated')
    throw new ApprovalClosedError(id, 'its plan was signed')
  return 'write'
}

/** What the end of a request makes of its intent. */
export const intentAfter = (end: ApprovalEnd): IntentStatus => (end === 'rejected' ? 'denied' : 'expired')
