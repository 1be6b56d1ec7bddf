import { isAddressEqual } from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import type { Action } from '../../runtime/core/intent.ts'
import type {
  AttemptStatus,
  DecisionRecord,
  IntentStatus,
  Lease,
  PreparedAttempt,
  Settlement,
} from '../../runtime/core/journal.ts'
import { StatusConflictError } from '../../runtime/core/journal.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'

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
 * An attempt is about its own plan, and the lease is on its account.
 *
 * @throws {InvariantError} when the plan, its hash or the lease is another's.
 */
export function checkPrepared(lease: Lease, attempt: PreparedAttempt): void {
  const { plan } = attempt
  if (!isAddressEqual(lease.account, attempt.account))
    throw new InvariantError('The lease is on another account than the attempt.', { attempt: attempt.id })
  if (
    plan.intentId !== attempt.intentId ||
    plan.chainId !== attempt.chainId ||
    !isAddressEqual(plan.account, attempt.account) ||
    planHash(plan) !== attempt.planHash
  )
    throw new InvariantError('The attempt carries a plan that is not its own.', { attempt: attempt.id })
}

/**
 * Whether a settlement changes an attempt (`write`) or finds its work done (`keep`).
 *
 * @throws {StatusConflictError} when the attempt's status rules it out.
 */
export function judgeSettlement(
  id: AttemptId,
  status: AttemptStatus,
  settlement: Settlement,
): 'write' | 'keep' {
  switch (status) {
    case 'prepared':
      // Its bytes are not in the journal, so the chain cannot have anything to say about it.
      if (settlement.status === 'dropped') return 'write'
      break
    case 'signed':
    case 'broadcast':
    case 'unknown':
      return 'write'
    default:
      if (settlement.status === status || settlement.status === 'unknown') return 'keep'
  }
  throw new StatusConflictError('attempt', id, status, `become ${settlement.status}`)
}

/** What a settlement makes of the attempt's intent. */
export function settledIntent(settlement: Settlement): IntentStatus {
  switch (settlement.status) {
    case 'confirmed':
      return settlement.deviated ? 'deviated' : 'done'
    case 'reverted':
      return 'reverted'
    case 'dropped':
      return 'expired'
    case 'unknown':
      return 'signed'
  }
}

/** The nonces that an attempt uses up. */
export const noncesOf = ({
  nonce,
  noncesUsed,
}: Pick<PreparedAttempt, 'nonce' | 'noncesUsed'>): readonly bigint[] =>
  noncesUsed === 2 ? [nonce, nonce + 1n] : [nonce]

/** The strictest of several orders; `active` when there is none. */
export const strictest = (states: readonly TradingState[]): TradingState =>
  states.includes('halted') ? 'halted' : states.includes('reducing') ? 'reducing' : 'active'
