import { getAddress, type Hex } from 'viem'
import type { AttemptRecord, PreparedAttempt } from '../../runtime/core/journal.ts'
import type { Outcome } from '../../runtime/core/lifecycle.ts'
import { decodePlan, encodePlan } from './json.ts'

/* What is written, as it will be read: so that a journal can answer without reading it back. */

/** An attempt as it is given back: addresses with their checksum, hashes in lower case. */
export const storableAttempt = (attempt: PreparedAttempt): PreparedAttempt => ({
  id: attempt.id,
  intentId: attempt.intentId,
  purpose: attempt.purpose,
  replaces: attempt.replaces,
  chainId: attempt.chainId,
  account: getAddress(attempt.account),
  nonce: attempt.nonce,
  noncesUsed: attempt.noncesUsed,
  plan: decodePlan(encodePlan(attempt.plan)),
  planHash: attempt.planHash.toLowerCase() as Hex,
  signedAt: attempt.signedAt,
  reserved: attempt.reserved,
  expected: attempt.expected === null ? null : storableOutcome(attempt.expected),
})

/** An outcome as it is given back. */
export const storableOutcome = (outcome: Outcome): Outcome => ({
  ...outcome,
  balanceChanges: outcome.balanceChanges.map(({ token, change }) => ({ token: getAddress(token), change })),
})

/** What an attempt has while it is in no block and nothing is known of its outcome. */
export const UNDECIDED = {
  blockNumber: null,
  blockHash: null,
  actual: null,
  spent: null,
  failure: null,
} as const satisfies Partial<AttemptRecord>
