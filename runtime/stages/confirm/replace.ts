import type { Agent } from '../../core/agent.ts'
import { fillId } from '../../core/ids.ts'
import { isRiskReducing } from '../../core/intent.ts'
import type { AttemptRecord, IntentRecord, PreparedAttempt } from '../../core/journal.ts'
import { type Plan, planHash } from '../../core/lifecycle.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { usd, wei } from '../../core/units.ts'
import type { Policy } from '../../guards/policy.ts'
import { emptyFees, type Fees, outbidWithin, planFees } from '../fees.ts'
import { whyNotReplace } from '../guard.ts'
import { underLease } from '../lease.ts'
import { gasValue } from '../measure.ts'
import { emptyPlan, freeCap, nextAttemptId } from '../nonce/emptyPlan.ts'
import { observe } from '../observe.ts'
import type { Runtime } from '../runtime.ts'
import { sayOnce } from '../say.ts'
import { signPrepared } from '../sign.ts'
import { isEmpty, newestSigned, type Slot, waitedBlocks } from '../slot.ts'

/**
 * Puts another transaction on the nonce of one that does not get mined:
 *
 * - the same calls until the same last block, for higher fees, when it has waited as long as the policy says;
 * - an empty one, a cancel, once its last valid block is over: it could only revert then, and holds up its account.
 *
 * The first is a way of acting, so the owner's word, the caps on spend and the gas guard hold for it. The second moves
 * nothing, and is let through as long as its fees are. A cancel of bytes that are public is a race: which of the two is
 * mined decides. When the policy's cap leaves no room for higher fees, this is said once, and what is there is waited for.
 *
 * @returns the attempt that was put in its place, signed; null when there is none
 */
export async function replaceIfStuck(
  runtime: Runtime,
  agent: Agent,
  slot: Slot,
  head: BlockRef,
): Promise<AttemptRecord | null> {
  const newest = newestSigned(slot)
  if (newest === null || slot.some(({ status }) => status === 'prepared')) return null
  const policy = runtime.policyOf(agent.id)
  const isLate = !isEmpty(newest) && head.number >= newest.plan.lastValidBlock
  const waited = waitedBlocks(newest, head, runtime.blockSeconds)
  const isStuck = waited >= BigInt(policy.replacement.afterBlocks)
  if (!isLate && !isStuck) return null
  // Whoever signed what was adopted raises its fees; here it is only kept from holding up the account.
  if (!isLate && newest.purpose === 'adopted') return null

  const draft =
    isLate || isEmpty(newest)
      ? await emptyOnto(runtime, agent, policy, slot, newest, head)
      : await dearer(runtime, agent, policy, slot, newest, head)
  if (draft === null) return null
  runtime.logger.warn(
    {
      attempt: newest.id,
      by: draft.id,
      purpose: draft.purpose,
      maxFeePerGas: draft.plan.maxFeePerGas.toString(),
    },
    isLate
      ? 'not mined in time: it can only revert now, and is cancelled'
      : 'not mined: replaced with higher fees',
  )
  return underLease(runtime, newest.account, (lease) => signPrepared(runtime, lease, draft))
}

/** The same calls until the same last block, for more. */
async function dearer(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  slot: Slot,
  newest: AttemptRecord,
  head: BlockRef,
): Promise<PreparedAttempt | null> {
  const intent = newest.intentId === null ? null : await runtime.journal.intent(newest.intentId)
  if (intent === null) return null
  const cap = (isRiskReducing(intent.action) ? policy.riskReducing : policy).gas.maxFeePerGas
  const fees = raised(runtime, policy, slot, newest, planFees(intent.action, { block: head }, policy), cap)
  if (fees === null) return null
  const { plan: earlier } = newest
  const plan: Plan = { ...earlier, ...fees, block: { number: head.number, hash: head.hash } }
  const snapshot = await observe(runtime, agent, head)
  const more = plan.gasLimit * (fees.maxFeePerGas - earlier.maxFeePerGas)
  const reserved = usd(newest.reserved + gasValue(wei(more), snapshot, runtime.book))
  const why =
    earlier.policyVersion === policy.version
      ? await whyNotReplace(runtime, agent, policy, intent, snapshot, {
          plan,
          reserved,
          instead: newest.reserved,
        })
      : 'the policy changed'
  const earlierTry = await droppedBefore(runtime, intent)
  const id = await nextAttemptId(runtime, plan.intentId, head)
  if (why !== null || earlierTry !== null || id === null) {
    const fields = { attempt: newest.id, why: why ?? earlierTry }
    sayOnce(runtime.logger, `kept.${newest.id}`, 'warn', fields, 'not mined, and not replaced')
    return null
  }
  return {
    ...outline(newest, head),
    id,
    intentId: intent.id,
    purpose: 'act',
    noncesUsed: newest.noncesUsed,
    plan,
    planHash: planHash(plan),
    reserved,
    expected: newest.expected,
  }
}

/** What the signer refused once, such as what only a person may approve, it would refuse at every block. */
async function droppedBefore({ journal }: Runtime, intent: IntentRecord): Promise<string | null> {
  const attempts = await journal.attempts(intent.agent)
  const dropped = attempts.find(
    ({ intentId, status, purpose }) => intentId === intent.id && purpose === 'act' && status === 'dropped',
  )
  return dropped?.failure ?? null
}

/** An empty transaction: a cancel of what an intent has on the nonce, a fill of what belongs to no intent. */
async function emptyOnto(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  slot: Slot,
  newest: AttemptRecord,
  head: BlockRef,
): Promise<PreparedAttempt | null> {
  const fees = raised(runtime, policy, slot, newest, emptyFees(head, policy), freeCap(policy))
  if (fees === null) return null
  const { intentId, account, nonce } = newest
  const name = intentId ?? fillId(account, nonce)
  const id = await nextAttemptId(runtime, name, head)
  if (id === null) return null
  const { chainId, account: owner, via } = newest.plan
  const of = intentId === null ? { account } : { account: owner, ...(via === undefined ? {} : { via }) }
  const { plan, planHash } = await emptyPlan(runtime, policy, head, fees, { intentId: name, chainId, ...of })
  const snapshot = await observe(runtime, agent, head)
  return {
    ...outline(newest, head),
    id,
    intentId,
    purpose: intentId === null ? 'fill' : 'cancel',
    noncesUsed: 1,
    plan,
    planHash,
    reserved: gasValue(wei(plan.gasLimit * plan.maxFeePerGas), snapshot, runtime.book),
    expected: null,
  }
}

/** Fees that outbid all on the nonce, within the cap; null, and said once, when that leaves no room. */
function raised(
  { logger }: Runtime,
  policy: Policy,
  slot: Slot,
  newest: AttemptRecord,
  wanted: Fees,
  cap: Fees['maxFeePerGas'],
): Fees | null {
  const rivals = slot.map(({ plan }) => plan)
  const fees = outbidWithin(wanted, rivals, policy.replacement.bump, cap)
  if (fees === null)
    sayOnce(
      logger,
      `capped.${newest.id}`,
      'error',
      { attempt: newest.id, maxFeePerGas: newest.plan.maxFeePerGas.toString(), cap: cap.toString() },
      'not mined, and the fee cap of the policy allows no replacement: waiting for the base fee to fall',
    )
  return fees
}

/** What every replacement has of the one whose place it takes. */
const outline = ({ id, chainId, account, nonce }: AttemptRecord, head: BlockRef) => ({
  replaces: id,
  chainId,
  account,
  nonce,
  signedAt: head.timestamp,
})
