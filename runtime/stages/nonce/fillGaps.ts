import type { Address } from 'viem'
import type { Agent } from '../../core/agent.ts'
import { fillId } from '../../core/ids.ts'
import { type AttemptRecord, type Lease, NonceTakenError } from '../../core/journal.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { wei } from '../../core/units.ts'
import { emptyFees, type Fees, outbidWithin } from '../fees.ts'
import { underLease } from '../lease.ts'
import { gasValue } from '../measure.ts'
import { observe } from '../observe.ts'
import type { Runtime } from '../runtime.ts'
import { sayOnce } from '../say.ts'
import { signPrepared } from '../sign.ts'
import { submit } from '../submit.ts'
import { emptyPlan, freeCap, nextAttemptId } from './emptyPlan.ts'
import { knownOf, type Nonces } from './readNonces.ts'

/**
 * Uses up the nonces of an account that nothing on its way will use, with recorded transactions that do nothing: what
 * is behind them could never be mined otherwise. Such a gap is left by an attempt that was to use two nonces and was
 * replaced on the first: the authorisation for the second is out, and anybody may apply it until its nonce is used.
 *
 * @param agents that act through the account
 * @param lease taken only when there is a gap, unless the caller has it
 */
export async function fillGaps(
  runtime: Runtime,
  agents: readonly Agent[],
  { account, gaps, signed }: Nonces,
  head: BlockRef,
  lease: Lease | null = null,
): Promise<readonly AttemptRecord[]> {
  const [agent] = agents
  const unused = agent === undefined ? [] : await withoutNews(runtime, account, gaps, signed)
  if (agent === undefined || unused.length === 0) return []
  const fillAll = async (held: Lease): Promise<readonly AttemptRecord[]> => {
    const filled: AttemptRecord[] = []
    for (const nonce of unused) {
      const rivals = signed.filter((other) => other.nonce === nonce).map(({ plan }) => plan)
      const attempt = await fill(runtime, agent, held, nonce, rivals, head).catch(unlessTaken)
      if (attempt !== null) filled.push(attempt)
    }
    return filled
  }
  return lease === null ? underLease(runtime, account, fillAll) : fillAll(lease)
}

/**
 * Gaps without those on which something was signed since the ledger was taken up: the protector waits for nobody, and an
 * empty transaction for more would take its rescue's place. The next head takes up what it signed.
 */
async function withoutNews(
  { journal }: Runtime,
  account: Address,
  gaps: readonly bigint[],
  signed: Nonces['signed'],
): Promise<readonly bigint[]> {
  const there = signed.filter(({ nonce }) => gaps.includes(nonce))
  if (there.length === 0) return gaps
  const known = knownOf(account, await journal.attempts())
  const news = there.filter(({ attemptId }) => !known.has(attemptId))
  return gaps.filter(
    (gap) => !news.some(({ nonce, noncesUsed }) => nonce === gap || nonce + BigInt(noncesUsed) - 1n === gap),
  )
}

/**
 * The journal still keeps the nonce for an attempt of which nobody knows what became of it: until that is proven,
 * nothing else is put there.
 */
function unlessTaken(error: unknown): null {
  if (error instanceof NonceTakenError) return null
  throw error
}

async function fill(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  nonce: bigint,
  rivals: readonly Fees[],
  head: BlockRef,
): Promise<AttemptRecord | null> {
  const { account } = lease
  const policy = runtime.policyOf(agent.id)
  const fees = outbidWithin(emptyFees(head, policy), rivals, policy.replacement.bump, freeCap(policy))
  if (fees === null) {
    sayOnce(
      runtime.logger,
      `fill.${account}.${nonce}`,
      'error',
      { account, nonce: nonce.toString() },
      'a nonce that nothing will use cannot be filled: the fee cap of the policy is too low',
    )
    return null
  }
  const id = await nextAttemptId(runtime, fillId(account, nonce), head)
  if (id === null) return null
  const { plan, planHash } = await emptyPlan(runtime, policy, head, fees, {
    intentId: fillId(account, nonce),
    chainId: runtime.chain.chainId,
    account,
  })
  const snapshot = await observe(runtime, agent, head)
  runtime.logger.warn({ attempt: id, nonce: nonce.toString() }, 'filling a nonce that nothing will use')
  const attempt = await signPrepared(runtime, lease, {
    id,
    intentId: null,
    purpose: 'fill',
    replaces: null,
    chainId: plan.chainId,
    account,
    nonce,
    noncesUsed: 1,
    plan,
    planHash,
    signedAt: head.timestamp,
    reserved: gasValue(wei(plan.gasLimit * plan.maxFeePerGas), snapshot, runtime.book),
    expected: null,
  })
  if (attempt.status !== 'dropped') await submit(runtime, attempt, policy, head)
  return attempt
}
