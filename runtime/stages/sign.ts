import { parseTransaction } from 'viem'
import type { Agent } from '../core/agent.ts'
import { signedApproval } from '../core/approvalRecords.ts'
import { describeError, RialtoError } from '../core/errors.ts'
import { attemptId } from '../core/ids.ts'
import { isRiskReducing } from '../core/intent.ts'
import type { AttemptRecord, IntentRecord, Lease, PreparedAttempt } from '../core/journal.ts'
import { type AllowedPlan, assertAllowed, type Plan, type SignedApproval } from '../core/lifecycle.ts'
import type { SignedTransaction } from '../core/ports.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { BytesMismatchError, PlanStaleError } from './errors.ts'
import { expectedGasPrice } from './fees.ts'
import { underLease } from './lease.ts'
import { promisedOutcome, reservedSpend } from './measure.ts'
import { freeNonce } from './nonce/freeNonce.ts'
import { ownerOf } from './owner.ts'
import type { Runtime } from './runtime.ts'

/**
 * Signs an allowed plan. The order of writes is what makes it safe to be killed anywhere:
 *
 * 1. the journal claims the nonce and stores the plan (`prepare`),
 * 2. the signer appends the bytes to its own ledger and answers,
 * 3. the journal stores the bytes (`sign`); only then may they be broadcast.
 *
 * A restart that finds a prepared attempt takes it up with {@link resumePrepared}.
 *
 * @param lease under which the plan was judged, so that nothing else was begun on the account since
 * @param replaces an attempt in whose place, and on whose nonce, this one is put; the next free nonce without one
 * @returns the attempt: `signed`, or `dropped` when the signer refused it for good
 * @throws {PlanStaleError} when the chain moved on or the policy changed since the simulation.
 */
export async function sign(
  runtime: Runtime,
  lease: Lease,
  intent: IntentRecord,
  plan: AllowedPlan,
  snapshot: Snapshot,
  replaces: AttemptRecord | null = null,
): Promise<AttemptRecord> {
  assertAllowed(plan)
  if (plan.policyVersion !== runtime.policyOf(intent.agent).version)
    throw new PlanStaleError(intent.id, 'the policy changed')
  const head = await runtime.chain.head()
  const { approval } = plan
  // What a person approved was made on an older block, and simulated again on the snapshot's.
  const simulatedOn = approval.by === 'person' ? snapshot.block : plan.block
  if (!isOnTopOf(head, simulatedOn))
    throw new PlanStaleError(
      intent.id,
      `block ${simulatedOn.number}, which it was simulated on, is not new any more`,
    )
  const attempt: PreparedAttempt = {
    id: attemptId(intent.id, 1),
    intentId: intent.id,
    purpose: 'act',
    replaces: replaces?.id ?? null,
    chainId: plan.chainId,
    account: lease.account,
    nonce: replaces?.nonce ?? (await freeNonce(runtime, lease.account, head)),
    noncesUsed: plan.delegateTo === null ? 1 : 2,
    plan: bare(plan),
    planHash: plan.hash,
    signedAt: snapshot.block.timestamp,
    reserved: reservedSpend(plan, plan.effects, snapshot, runtime.book),
    expected: promisedOutcome(plan, plan.effects, expectedGasPrice(intent.action, snapshot)),
  }
  return signPrepared(runtime, lease, attempt, approval.by === 'person' ? approval.signed : undefined)
}

/** A plan is new on the block that it was simulated on and on that one's child; a number alone could be a fork's. */
const isOnTopOf = (head: BlockRef, block: Plan['block']): boolean =>
  head.hash === block.hash || head.parentHash === block.hash

/** Claims the nonce, has the bytes signed, and stores them: what every attempt goes through, whatever it is for. */
export async function signPrepared(
  runtime: Runtime,
  lease: Lease,
  attempt: PreparedAttempt,
  approval?: SignedApproval,
): Promise<AttemptRecord> {
  return finish(runtime, lease, await runtime.journal.prepare(lease, attempt), approval)
}

/**
 * Whether an intent has a signature by the signer's ledger, although the journal has it as proposed: a journal that a
 * power cut threw back decides the same once more. What was signed is followed; the intent is over.
 */
export async function wasSigned(runtime: Runtime, lease: Lease, { id }: IntentRecord): Promise<boolean> {
  return (await runtime.signer.lookup(lease.account, attemptId(id, 1))) !== null
}

/**
 * Takes up what was prepared on a nonce before a crash. What the signer signed counts as broadcast and is taken over
 * as it is. What it did not sign is signed now if everything still speaks for it, and dropped otherwise.
 */
export async function resumePrepared(
  runtime: Runtime,
  agents: readonly Agent[],
  slot: readonly AttemptRecord[],
): Promise<void> {
  for (const attempt of slot)
    if (attempt.status === 'prepared')
      await underLease(runtime, attempt.account, async (lease) =>
        resume(runtime, lease, await ownerOf(runtime, agents, attempt), attempt),
      )
}

async function resume(
  runtime: Runtime,
  lease: Lease,
  agent: Agent,
  attempt: AttemptRecord,
): Promise<AttemptRecord> {
  const obstacle = await whyNotNow(runtime, agent, attempt)
  if (obstacle !== null) return giveUp(runtime, lease, attempt, obstacle)
  const request = await runtime.journal.approval(attempt.planHash)
  return finish(runtime, lease, attempt, request?.status === 'approved' ? signedApproval(request) : undefined)
}

/** What speaks against signing a plan that was judged before a crash; null if nothing does. */
async function whyNotNow(runtime: Runtime, agent: Agent, attempt: AttemptRecord): Promise<string | null> {
  const { plan, purpose } = attempt
  const head = await runtime.chain.head()
  if (plan.policyVersion !== runtime.policyOf(agent.id).version) return 'the policy changed'
  if ((await runtime.chain.nonce(attempt.account, head.hash)) > attempt.nonce)
    return `nonce ${attempt.nonce} was used by another transaction`
  // An empty transaction holds as long as its nonce is free, and moves nothing, whoever was told to halt.
  if (purpose !== 'act') return null
  if (head.number >= plan.lastValidBlock) return 'its last valid block is over'
  return whyNotAct(runtime, agent, attempt)
}

/** What the owner's word says against signing more for an intent; null if nothing does. */
export async function whyNotAct(
  runtime: Runtime,
  agent: Agent,
  { intentId }: Pick<AttemptRecord, 'intentId'>,
): Promise<string | null> {
  const state = await runtime.journal.tradingState(agent.id, agent.account)
  if (state === 'active') return null
  const intent = intentId === null ? null : await runtime.journal.intent(intentId)
  const mayReduce = state === 'reducing' && intent !== null && isRiskReducing(intent.action)
  return mayReduce ? null : `trading is ${state}`
}

async function finish(
  runtime: Runtime,
  lease: Lease,
  attempt: AttemptRecord,
  approval?: SignedApproval,
): Promise<AttemptRecord> {
  // The same attempt again, which is further by now: there is nothing to sign.
  if (attempt.status !== 'prepared') return attempt
  const signed = await ask(runtime, lease, attempt, approval)
  if (signed instanceof RialtoError) return giveUp(runtime, lease, attempt, describeError(signed))
  return runtime.journal.sign(lease, attempt.id, { raw: signed.raw, hash: signed.hash })
}

/** The signature, or the refusal: asking again would be refused again, and the account would wait for nothing. */
async function ask(
  runtime: Runtime,
  lease: Lease,
  { id, plan, planHash, nonce }: AttemptRecord,
  approval: SignedApproval | undefined,
): Promise<SignedTransaction | RialtoError> {
  try {
    return await runtime.signer.sign({
      attemptId: id,
      plan,
      planHash,
      nonce,
      fence: lease.token,
      ...(approval === undefined ? {} : { approval }),
    })
  } catch (error) {
    if (error instanceof RialtoError && !error.retryable) return error
    throw error
  }
}

/**
 * Drops an attempt, which frees its nonce and with it the account: but only once the signer's ledger says that
 * nothing was signed for it and nothing ever will be. What was signed all the same is followed like any other.
 *
 * @throws {BytesMismatchError} when what was signed is on another nonce: then nobody may say what became of it.
 */
async function giveUp(
  runtime: Runtime,
  lease: Lease,
  attempt: AttemptRecord,
  why: string,
): Promise<AttemptRecord> {
  const signed = await runtime.signer.abandon(attempt.account, attempt.id)
  if (signed !== null) {
    if (BigInt(parseTransaction(signed.raw).nonce ?? 0) !== attempt.nonce)
      throw new BytesMismatchError(attempt.id, attempt.nonce)
    return runtime.journal.sign(lease, attempt.id, { raw: signed.raw, hash: signed.hash })
  }
  runtime.logger.error({ attempt: attempt.id, why }, 'not signed, and given up')
  return runtime.journal.settle(attempt.id, { status: 'dropped', failure: `it was never signed: ${why}` })
}

/** The plan without what the stages added to it. */
function bare(plan: AllowedPlan): Plan {
  const { hash: _hash, effects: _effects, verdict: _verdict, approval: _approval, ...rest } = plan
  return rest
}
