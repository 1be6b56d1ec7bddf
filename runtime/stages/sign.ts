import { attemptId } from '../core/ids.ts'
import type { AttemptRecord, IntentRecord, Lease } from '../core/journal.ts'
import { type AllowedPlan, assertAllowed, type Plan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { Policy } from '../guards/policy.ts'
import { LeaseHeldError, PlanStaleError } from './errors.ts'
import { expectedGasPrice } from './fees.ts'
import { promisedOutcome, reservedSpend } from './measure.ts'
import type { Runtime } from './runtime.ts'

/** How long a lease lasts unless it is taken again, in seconds: longer than one signature takes by far. */
const LEASE_SECONDS = 30

/** Blocks that may pass between simulation and signing. */
const MAX_PLAN_AGE = 1n

/**
 * Signs an allowed plan. The order of writes is what makes it safe to be killed anywhere:
 *
 * 1. the journal claims the nonce and stores the plan (`prepare`),
 * 2. the signer appends the bytes to its own ledger and answers,
 * 3. the journal stores the bytes (`sign`); only then may they be broadcast.
 *
 * A restart that finds a prepared attempt asks the signer for the same again: see {@link resumeSign}.
 *
 * @throws {PlanStaleError} when the chain moved on or the policy changed since the simulation.
 * @throws {LeaseHeldError} when another process writes the account's nonces.
 */
export async function sign(
  runtime: Runtime,
  intent: IntentRecord,
  plan: AllowedPlan,
  snapshot: Snapshot,
  policy: Policy,
): Promise<AttemptRecord> {
  assertAllowed(plan)
  if (plan.policyVersion !== policy.version) throw new PlanStaleError(intent.id, 'the policy changed')
  const head = await runtime.chain.head()
  if (head.number > plan.block.number + MAX_PLAN_AGE)
    throw new PlanStaleError(intent.id, `it was simulated ${head.number - plan.block.number} blocks ago`)

  const lease = await acquireLease(runtime, intent)
  const prepared = await runtime.journal.prepare(lease, {
    id: attemptId(intent.id, 1),
    intentId: intent.id,
    chainId: plan.chainId,
    account: plan.account,
    nonce: await freeNonce(runtime, plan, snapshot),
    noncesUsed: plan.delegateTo === null ? 1 : 2,
    plan: bare(plan),
    planHash: plan.hash,
    signedAt: snapshot.block.timestamp,
    reserved: reservedSpend(plan, plan.effects, snapshot, runtime.book),
    expected: promisedOutcome(plan, plan.effects, expectedGasPrice(intent.action, snapshot)),
  })
  return finish(runtime, lease, prepared)
}

/**
 * Takes up an attempt that was prepared before a crash. If the signer signed it, its bytes count as broadcast and
 * are taken over as they are; if not, it is signed now, unless its time is over: then it is dropped and its nonce
 * is free again, which is safe because no signature exists.
 */
export async function resumeSign(runtime: Runtime, attempt: AttemptRecord): Promise<AttemptRecord> {
  const signed = await runtime.signer.lookup(attempt.account, attempt.id)
  const head = await runtime.chain.head()
  if (signed === null && head.number >= attempt.plan.lastValidBlock)
    return runtime.journal.settle(attempt.id, {
      status: 'dropped',
      failure: 'it was never signed, and its last valid block is over',
    })
  return finish(runtime, await acquireLease(runtime, attempt), attempt)
}

async function finish(runtime: Runtime, lease: Lease, attempt: AttemptRecord): Promise<AttemptRecord> {
  const { raw, hash } = await runtime.signer.sign({
    attemptId: attempt.id,
    plan: attempt.plan,
    planHash: attempt.planHash,
    nonce: attempt.nonce,
    fence: lease.token,
  })
  return runtime.journal.sign(lease, attempt.id, { raw, hash })
}

async function acquireLease(runtime: Runtime, of: { account: IntentRecord['account'] }): Promise<Lease> {
  const lease = await runtime.journal.acquireLease(of.account, runtime.holder, LEASE_SECONDS)
  if (lease === null) throw new LeaseHeldError(of.account)
  return lease
}

/** The chain's count or the journal's, whichever is further: an attempt that is not mined yet holds its nonce. */
async function freeNonce(runtime: Runtime, plan: Plan, snapshot: Snapshot): Promise<bigint> {
  const [mined, recorded] = await Promise.all([
    runtime.chain.nonce(plan.account, snapshot.block.hash),
    runtime.journal.nextNonce(plan.account),
  ])
  return recorded !== null && recorded > mined ? recorded : mined
}

/** The plan without what the stages added to it. */
function bare(plan: AllowedPlan): Plan {
  const { hash: _hash, effects: _effects, verdict: _verdict, approval: _approval, ...rest } = plan
  return rest
}
