import type { Agent } from '../core/agent.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { type AttemptId, attemptId } from '../core/ids.ts'
import { isRiskReducing } from '../core/intent.ts'
import type { AttemptRecord, IntentRecord, Lease } from '../core/journal.ts'
import { type AllowedPlan, assertAllowed, type Plan } from '../core/lifecycle.ts'
import type { SignedTransaction } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { PlanStaleError } from './errors.ts'
import { expectedGasPrice } from './fees.ts'
import { promisedOutcome, reservedSpend } from './measure.ts'
import { freeNonce } from './nonce.ts'
import type { Runtime } from './runtime.ts'

/**
 * Signs an allowed plan. The order of writes is what makes it safe to be killed anywhere:
 *
 * 1. the journal claims the nonce and stores the plan (`prepare`),
 * 2. the signer appends the bytes to its own ledger and answers,
 * 3. the journal stores the bytes (`sign`); only then may they be broadcast.
 *
 * A restart that finds a prepared attempt takes it up with {@link resumeSign}.
 *
 * @param lease under which the plan was judged, so that nothing else was begun on the account since
 * @returns the attempt: `signed`, or `dropped` when the signer refused it for good
 * @throws {PlanStaleError} when the chain moved on or the policy changed since the simulation.
 */
export async function sign(
  runtime: Runtime,
  lease: Lease,
  intent: IntentRecord,
  plan: AllowedPlan,
  snapshot: Snapshot,
): Promise<AttemptRecord> {
  assertAllowed(plan)
  if (plan.policyVersion !== runtime.policyOf(intent.agent).version)
    throw new PlanStaleError(intent.id, 'the policy changed')
  const head = await runtime.chain.head()
  if (!isOnTopOf(head, plan.block))
    throw new PlanStaleError(
      intent.id,
      `block ${plan.block.number}, which it was simulated on, is not new any more`,
    )

  const prepared = await runtime.journal.prepare(lease, {
    id: attemptId(intent.id, 1),
    intentId: intent.id,
    chainId: plan.chainId,
    account: plan.account,
    nonce: await freeNonce(runtime, plan.account, head),
    noncesUsed: plan.delegateTo === null ? 1 : 2,
    plan: bare(plan),
    planHash: plan.hash,
    signedAt: snapshot.block.timestamp,
    reserved: reservedSpend(plan, plan.effects, snapshot, runtime.book),
    expected: promisedOutcome(plan, plan.effects, expectedGasPrice(intent.action, snapshot)),
  })
  return finish(runtime, lease, prepared)
}

/** A plan is new on the block that it was simulated on and on that one's child; a number alone could be a fork's. */
const isOnTopOf = (head: BlockRef, block: Plan['block']): boolean =>
  head.hash === block.hash || head.parentHash === block.hash

/**
 * Takes up an attempt that was prepared before a crash. What the signer signed counts as broadcast and is taken over
 * as it is. What it did not sign is signed now if everything still speaks for it, and dropped otherwise.
 */
export async function resumeSign(
  runtime: Runtime,
  lease: Lease,
  agent: Agent,
  attempt: AttemptRecord,
): Promise<AttemptRecord> {
  const obstacle = await whyNotNow(runtime, agent, attempt)
  return obstacle === null ? finish(runtime, lease, attempt) : giveUp(runtime, lease, attempt, obstacle)
}

/** What speaks against signing a plan that was judged before a crash; null if nothing does. */
async function whyNotNow(runtime: Runtime, agent: Agent, attempt: AttemptRecord): Promise<string | null> {
  const { plan } = attempt
  const head = await runtime.chain.head()
  if (head.number >= plan.lastValidBlock) return 'its last valid block is over'
  if (plan.policyVersion !== runtime.policyOf(agent.id).version) return 'the policy changed'
  if ((await runtime.chain.nonce(attempt.account, head.hash)) > attempt.nonce)
    return `nonce ${attempt.nonce} was used by another transaction`
  const state = await runtime.journal.tradingState(agent.id, agent.account)
  if (state === 'active') return null
  const intent = await runtime.journal.intent(attempt.intentId)
  const mayReduce = state === 'reducing' && intent !== null && isRiskReducing(intent.action)
  return mayReduce ? null : `trading is ${state}`
}

async function finish(runtime: Runtime, lease: Lease, attempt: AttemptRecord): Promise<AttemptRecord> {
  const signed = await ask(runtime, lease, attempt)
  if (signed instanceof RialtoError) {
    const settled = await giveUp(runtime, lease, attempt, describeError(signed))
    await broadcastForgotten(runtime, attempt, signed)
    return settled
  }
  return runtime.journal.sign(lease, attempt.id, { raw: signed.raw, hash: signed.hash })
}

/** The signature, or the refusal: asking again would be refused again, and the account would wait for nothing. */
async function ask(
  runtime: Runtime,
  lease: Lease,
  { id, plan, planHash, nonce }: AttemptRecord,
): Promise<SignedTransaction | RialtoError> {
  try {
    return await runtime.signer.sign({ attemptId: id, plan, planHash, nonce, fence: lease.token })
  } catch (error) {
    if (error instanceof RialtoError && !error.retryable) return error
    throw error
  }
}

/**
 * Drops an attempt, which frees its nonce and with it the account: but only once the signer's ledger says that
 * nothing was signed for it and nothing ever will be. What was signed all the same is followed like any other.
 */
async function giveUp(
  runtime: Runtime,
  lease: Lease,
  attempt: AttemptRecord,
  why: string,
): Promise<AttemptRecord> {
  const signed = await runtime.signer.abandon(attempt.account, attempt.id)
  if (signed !== null) return runtime.journal.sign(lease, attempt.id, { raw: signed.raw, hash: signed.hash })
  runtime.logger.error({ attempt: attempt.id, why }, 'not signed, and given up')
  return runtime.journal.settle(attempt.id, { status: 'dropped', failure: `it was never signed: ${why}` })
}

/**
 * The signer holds bytes on this nonce that the journal has no record of: it lost its last moments in a power cut,
 * or was replaced. What was signed counts as broadcast, and until it is mined nothing else on the account can be, so
 * it is sent. Past its last valid block it can only revert.
 */
async function broadcastForgotten(
  runtime: Runtime,
  { account, nonce }: AttemptRecord,
  refusal: RialtoError,
): Promise<void> {
  const holder = refusal.details.attemptId
  if (refusal.code !== 'NONCE_SIGNED' || typeof holder !== 'string') return
  const forgotten = await runtime.signer.lookup(account, holder as AttemptId)
  if (forgotten === null) return
  runtime.logger.error(
    { attempt: holder, hash: forgotten.hash, nonce: nonce.toString() },
    'signed, but unknown to the journal: broadcast, so that its nonce gets used',
  )
  await runtime.chain.sendRaw(forgotten.raw)
}

/** The plan without what the stages added to it. */
function bare(plan: AllowedPlan): Plan {
  const { hash: _hash, effects: _effects, verdict: _verdict, approval: _approval, ...rest } = plan
  return rest
}
