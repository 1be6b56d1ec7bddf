import { type Address, isAddressEqual } from 'viem'
import type { Agent } from '../../core/agent.ts'
import type { AttemptRecord, Lease } from '../../core/journal.ts'
import type { LedgerAttempt } from '../../core/ports.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { usd } from '../../core/units.ts'
import { underLease } from '../lease.ts'
import type { Runtime } from '../runtime.ts'
import { sayOnce } from '../say.ts'
import { knownOf, type Nonces } from './readNonces.ts'

/**
 * Takes up what the signer's ledger holds of an account and the journal does not: the protector signed it, or the
 * journal was thrown back by a power cut. What was signed counts as broadcast, so from here on it is followed like any
 * other. Nobody knows what it may cost; the most that a policy lets one transaction cost is held back for it.
 *
 * @param agents that act through the account
 * @param lease taken only when there is something to take up, unless the caller has it
 * @returns what was taken up
 */
export async function adoptLedger(
  runtime: Runtime,
  agents: readonly Agent[],
  nonces: Nonces,
  head: BlockRef,
  lease: Lease | null = null,
): Promise<readonly AttemptRecord[]> {
  const { account } = nonces
  const missing = await missingFrom(runtime, nonces)
  if (missing.length === 0) {
    remember(runtime, account)
    return []
  }
  const most = agents
    .map(({ id }) => runtime.policyOf(id).riskReducing.spend.perTransaction)
    .reduce((a, b) => (b > a ? b : a), usd(0n))
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
      if (!isAddressEqual(attempt.account, account)) {
        sayOnce(
          runtime.logger,
          `adopt.${account}.${attemptId}`,
          'error',
          { attempt: attemptId, account, of: attempt.account },
          'signed under the id of an attempt of another account: it cannot be taken up, and nothing is put on its nonce',
        )
        continue
      }
      runtime.logger.warn(
        { attempt: attemptId, hash, nonce: nonce.toString(), status: attempt.status },
        'signed, but unknown to the journal: taken up from the ledger of the signer',
      )
      adopted.push(attempt)
    }
    remember(runtime, account)
    return adopted
  }
  return lease === null ? underLease(runtime, account, adoptAll) : adoptAll(lease)
}

/** Accounts whose whole ledger was held against the journal, within the life of a runtime. */
const compared = new WeakMap<Runtime, Set<Address>>()

function remember(runtime: Runtime, account: Address): void {
  compared.set(runtime, (compared.get(runtime) ?? new Set<Address>()).add(account))
}

/**
 * What the ledger holds and the journal does not, in the order it was signed. A journal that a power cut threw back
 * lacks what was signed last, which need not be what has the highest nonces: a nonce is filled after those behind it.
 * So the first look of a process, which a power cut starts as well, is at everything.
 */
async function missingFrom(
  runtime: Runtime,
  { account, mined, recorded, open, signed }: Nonces,
): Promise<readonly LedgerAttempt[]> {
  const { journal } = runtime
  const isFirst = compared.get(runtime)?.has(account) !== true
  // Before the first nonce that is open, and before all that chain or journal do not know, nothing can be missing.
  const floor = [mined, recorded ?? 0n, ...open.map(({ nonce }) => nonce)].reduce((a, b) => (b < a ? b : a))
  const inFlight = new Set(open.filter(({ raw }) => raw !== null).map(({ id }) => id))
  const held = isFirst ? await ledgerOf(runtime, account) : signed.filter(({ nonce }) => nonce >= floor)
  const strange = held.filter(({ attemptId }) => !inFlight.has(attemptId))
  if (strange.length === 0 || recorded === null) return strange
  // What was settled behind a nonce that is still open is no stranger.
  const known = knownOf(
    account,
    (await journal.attempts()).filter(({ raw }) => raw !== null),
  )
  return strange.filter(({ attemptId }) => !known.has(attemptId))
}

/** Everything that was signed for an account; nothing for one whose key is elsewhere. */
async function ledgerOf({ signer }: Runtime, account: Address): Promise<readonly LedgerAttempt[]> {
  const hasKey = (await signer.accounts()).some((held) => isAddressEqual(held, account))
  return hasKey ? signer.signedFrom(account, 0n) : []
}
