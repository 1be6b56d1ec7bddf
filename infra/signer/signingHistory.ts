import type { Address } from 'viem'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import type { SignedTransaction, SignRequest } from '../../runtime/core/ports.ts'
import { SignerError } from './errors.ts'

/** One signature, as the ledger keeps it. */
export type SignedRecord = SignedTransaction & {
  readonly account: Address
  readonly nonce: bigint
  readonly planHash: Hash
  readonly intentId: IntentId
  readonly attemptId: AttemptId
  readonly fence: bigint
}

/** What was signed on one chain, and who may have more signed. */
export type SigningHistory = {
  /**
   * What the past says to a request: the signature that it has already, or null when it may have one.
   *
   * @throws {SignerError} `FENCED`, `NONCE_SIGNED`, `INTENT_SIGNED` or `ATTEMPT_ABANDONED`.
   */
  check(request: SignRequest, noncesUsed: 1 | 2): SignedRecord | null
  /** The highest fencing token that was recorded for an account; null when there is none. */
  fenceOf(account: Address): bigint | null
  find(account: Address, attempt: AttemptId): SignedRecord | null
  isAbandoned(account: Address, attempt: AttemptId): boolean
  /** Takes up a signature that is recorded durably. */
  addSigned(record: SignedRecord): void
  /** Takes up a fencing token that is recorded durably. */
  addFence(account: Address, fence: bigint): void
  /** Takes up that nothing will be signed for an attempt, which is recorded durably. */
  addAbandoned(account: Address, attempt: AttemptId): void
}

/**
 * The rules of signing twice, in memory. An intent gets one signature, for one plan on one nonce, ever: another one
 * could be mined beside it.
 */
export function createSigningHistory(): SigningHistory {
  const accounts = new Map<string, AccountHistory>()
  const historyOf = (account: Address): AccountHistory => {
    const key = account.toLowerCase()
    const known = accounts.get(key)
    if (known !== undefined) return known
    const fresh = {
      fence: null,
      byNonce: new Map(),
      byAttempt: new Map(),
      byIntent: new Map(),
      abandoned: new Set<string>(),
    }
    accounts.set(key, fresh)
    return fresh
  }

  return {
    check(request, noncesUsed) {
      const { plan, nonce, attemptId, fence } = request
      const { account, intentId } = plan
      const past = historyOf(account)
      if (past.fence !== null && fence < past.fence)
        throw new SignerError(
          'FENCED',
          `The fencing token ${fence} of ${account} is older than ${past.fence}.`,
          {
            fix: 'Acquire the lease again. If the journal was lost or replaced, restore it: its tokens must go on rising.',
            retryable: true,
            details: { account, fence, newest: past.fence },
          },
        )
      const same = past.byAttempt.get(attemptId)
      if (same !== undefined && same.nonce === nonce && same.planHash === request.planHash) return same
      const earlier = past.byIntent.get(intentId)
      if (earlier !== undefined || same !== undefined)
        throw new SignerError(
          'INTENT_SIGNED',
          `Intent ${intentId} has a signature already, on nonce ${(earlier ?? same)?.nonce}.`,
          {
            fix: 'Follow the transaction that was signed; an intent is never signed twice.',
            details: { account, intentId, attemptId: (earlier ?? same)?.attemptId },
          },
        )
      if (past.abandoned.has(attemptId))
        throw new SignerError('ATTEMPT_ABANDONED', `Attempt ${attemptId} was given up.`, {
          fix: 'Let the intent be decided anew: its nonce may be another attempt’s by now.',
          details: { account, attemptId },
        })
      for (const used of noncesOf(nonce, noncesUsed)) {
        const holder = past.byNonce.get(used)
        if (holder !== undefined)
          throw new SignerError(
            'NONCE_SIGNED',
            `Nonce ${used} of ${account} was signed for attempt ${holder.attemptId}.`,
            {
              fix: 'Follow that transaction until it is mined, and take the next free nonce.',
              details: { account, nonce: used, attemptId: holder.attemptId },
            },
          )
      }
      return null
    },
    fenceOf: (account) => historyOf(account).fence,
    find: (account, attempt) => historyOf(account).byAttempt.get(attempt) ?? null,
    isAbandoned: (account, attempt) => historyOf(account).abandoned.has(attempt),
    addSigned(record) {
      const past = historyOf(record.account)
      for (const used of noncesOf(record.nonce, record.noncesUsed)) past.byNonce.set(used, record)
      past.byAttempt.set(record.attemptId, record)
      past.byIntent.set(record.intentId, record)
      raise(past, record.fence)
    },
    addFence: (account, fence) => raise(historyOf(account), fence),
    addAbandoned: (account, attempt) => historyOf(account).abandoned.add(attempt),
  }
}

type AccountHistory = {
  fence: bigint | null
  readonly byNonce: Map<bigint, SignedRecord>
  readonly byAttempt: Map<string, SignedRecord>
  readonly byIntent: Map<string, SignedRecord>
  readonly abandoned: Set<string>
}

function raise(past: AccountHistory, fence: bigint): void {
  if (past.fence === null || fence > past.fence) past.fence = fence
}

const noncesOf = (nonce: bigint, noncesUsed: 1 | 2): readonly bigint[] =>
  noncesUsed === 1 ? [nonce] : [nonce, nonce + 1n]
