import type { Address } from 'viem'
import type { Agent } from '../../core/agent.ts'
import type { AttemptRecord, Lease } from '../../core/journal.ts'
import type { LedgerAttempt } from '../../core/ports.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { underLease } from '../lease.ts'
import type { Runtime } from '../runtime.ts'

/**
 * Takes up what the signer's ledger holds of an account and the journal does not: the protector signed it, or the
 * journal was thrown back by a power cut. What was signed counts as broadcast, so from here on it is followed like any
 * other. Nobody knows what it may cost; the most that a policy lets one transaction cost is held back for it.
 *
 * The ledger is asked from the lowest nonce on that the journal is not through with, so a journal that is new gets
 * everything.
 *
 * @param lease taken only when there is something to take up, unless the caller has it
 * @returns what was taken up
 */
export async function adoptLedger(
  runtime: Runtime,
  agents: readonly Agent[],
  account: Address,
  head: BlockRef,
  lease: Lease | null = null,
): Promise<readonly AttemptRecord[]> {
  const missing = await missingFrom(runtime, account, head)
  if (missing.length === 0) return []
  const most = agents
    .map(({ id }) => runtime.policyOf(id).riskReducing.spend.perTransaction)
    .reduce((a, b) => (b > a ? b : a))
  const adoptAll = async (held: Lease): Promise<readonly AttemptRecord[]> => {
    const adopted: AttemptRecord[] = []
    for (const { attemptId, plan, planHash, nonce, noncesUsed, raw, hash } of missing) {
      const intent = await runtime.journal.intent(plan.intentId)
      const attempt = await runtime.journal.adopt(held, {
        id: attemptId,
        intentId: intent?.id ?? null,
        chainId: plan.chainId,
        account,
        nonce,
        noncesUsed,
        plan,
        planHash,
        signedAt: head.timestamp,
        reserved: most,
        raw,
        hash,
      })
      runtime.logger.warn(
        { attempt: attemptId, hash, nonce: nonce.toString(), status: attempt.status },
        'signed, but unknown to the journal: taken up from the ledger of the signer',
      )
      adopted.push(attempt)
    }
    return adopted
  }
  return lease === null ? underLease(runtime, account, adoptAll) : adoptAll(lease)
}

/** What the ledger holds and the journal does not, in the order it was signed. */
async function missingFrom(
  runtime: Runtime,
  account: Address,
  head: BlockRef,
): Promise<readonly LedgerAttempt[]> {
  const { journal } = runtime
  const [mined, next, open] = await Promise.all([
    runtime.chain.nonce(account, head.hash),
    journal.nextNonce(account),
    journal.inFlight(account),
  ])
  const from = [mined, next ?? 0n, ...open.map(({ nonce }) => nonce)].reduce((a, b) => (b < a ? b : a))
  const signed = await runtime.signer.signedFrom(account, from)
  const inFlight = new Set(open.filter(({ raw }) => raw !== null).map(({ id }) => id))
  const strange = signed.filter(({ attemptId }) => !inFlight.has(attemptId))
  if (strange.length === 0) return []
  // Only what was settled behind an older nonce that is still open gets this far, or what is really missing.
  const known = new Set((await journal.attempts()).filter(({ raw }) => raw !== null).map(({ id }) => id))
  return strange.filter(({ attemptId }) => !known.has(attemptId))
}
