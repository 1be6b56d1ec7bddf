import type { Agent } from './core/agent.ts'
import { type IntentId, runId } from './core/ids.ts'
import type { AttemptRecord, IntentRecord, Lease, RunRecord } from './core/journal.ts'
import type { BlockRef } from './core/snapshot.ts'
import { analyse } from './stages/analyse.ts'
import { approve } from './stages/approve.ts'
import { confirm } from './stages/confirm.ts'
import { UnknownIntentError } from './stages/errors.ts'
import { denySimulation, guardContext, guardEffect, guardIntent } from './stages/guard.ts'
import { underLease } from './stages/lease.ts'
import { observe } from './stages/observe.ts'
import { propose } from './stages/propose.ts'
import { reconcile } from './stages/reconcile.ts'
import type { Runtime } from './stages/runtime.ts'
import { resumeSign, sign } from './stages/sign.ts'
import { simulate } from './stages/simulate.ts'
import { submit } from './stages/submit.ts'

/**
 * The spine: every decision of every agent goes this way, live and in a backtest.
 *
 *     decide    observe → analyse → propose
 *     execute   guard → simulate → guard → approve → sign → submit
 *     settle    confirm → reconcile
 *
 * It comes in three parts because each is a job of its own: deciding may run beside other runs, executing is
 * serial per account, and settling waits for blocks. Each part may be delivered twice or be cut off anywhere: the
 * journal holds what was done, and a part that finds its work done returns what it finds.
 */

/** One pass of one agent over one block, up to its intent. */
export async function decide(runtime: Runtime, agent: Agent, block: BlockRef): Promise<RunRecord> {
  const run = await runtime.journal.startRun({
    id: runId(agent.id, block.hash),
    agent: agent.id,
    account: agent.account,
    blockNumber: block.number,
    blockHash: block.hash,
  })
  if (run.decision !== null) return run

  const snapshot = await observe(runtime, agent, block)
  const analysis = await analyse(runtime, agent, snapshot, run.id)
  return propose(runtime, agent, snapshot, analysis, run.id)
}

/** What became of an intent when it was executed. */
export type Execution = 'submitted' | 'denied' | 'expired' | 'held' | 'refused' | 'done'

/** Carries out an intent on a block, if everything that has a say allows it. */
export async function execute(
  runtime: Runtime,
  agent: Agent,
  id: IntentId,
  block: BlockRef,
): Promise<Execution> {
  const intent = await runtime.journal.intent(id)
  if (intent === null) throw new UnknownIntentError(id)
  if (intent.status === 'signed') await goOn(runtime, agent, id, block)
  if (intent.status !== 'proposed') return 'done'
  if (block.number >= intent.action.expiresAtBlock) {
    await runtime.journal.expireIntent(id)
    return 'expired'
  }

  return underLease(runtime, intent.account, (lease) => carryOut(runtime, agent, lease, intent, block))
}

/**
 * An earlier delivery of the job was cut off between the claim of the nonce and the broadcast: the signer's process
 * died, or the bytes never left this machine. A rescue does not wait for the next block to go on.
 */
async function goOn(runtime: Runtime, agent: Agent, id: IntentId, block: BlockRef): Promise<void> {
  for (const attempt of await runtime.journal.inFlight(agent.account))
    if (attempt.intentId === id && (attempt.status === 'prepared' || attempt.status === 'signed'))
      await settle(runtime, agent, attempt, block)
}

/** From the first guard to the broadcast, under one lease: nothing else is begun on the account meanwhile. */
async function carryOut(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  intent: IntentRecord,
  block: BlockRef,
): Promise<Execution> {
  const policy = runtime.policyOf(agent.id)
  const snapshot = await observe(runtime, agent, block)
  const context = () => guardContext(runtime, agent, policy, snapshot)
  if (!(await guardIntent(runtime, await context(), intent)).allowed) return 'denied'

  const simulation = await simulate(runtime, intent, snapshot, policy)
  if (!simulation.ok) {
    await denySimulation(runtime, policy, intent, simulation.reason)
    return 'denied'
  }
  const verdict = await guardEffect(runtime, await context(), intent, simulation.plan)
  if (!verdict.allowed) return 'denied'

  const plan = approve(simulation.plan, verdict, policy)
  if (plan === null) return 'held'

  const attempt = await sign(runtime, lease, intent, plan, snapshot)
  if (attempt.status === 'dropped') return 'refused'
  await submit(runtime, attempt)
  return 'submitted'
}

/** Follows an attempt at a head. Returns it settled, or null while its outcome is open. */
export async function settle(
  runtime: Runtime,
  agent: Agent,
  attempt: AttemptRecord,
  head: BlockRef,
): Promise<AttemptRecord | null> {
  if (attempt.status === 'prepared') {
    const resumed = await underLease(runtime, attempt.account, (lease) =>
      resumeSign(runtime, lease, agent, attempt),
    )
    if (resumed.status === 'dropped') return resumed
    await submit(runtime, resumed)
    return null
  }
  const policy = runtime.policyOf(agent.id)
  const receipt = await confirm(runtime, attempt, head, policy.confirmations)
  return receipt === null ? null : reconcile(runtime, agent, policy, attempt, receipt, head)
}
