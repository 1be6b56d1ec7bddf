import type { Address } from 'viem'
import type { Agent } from './core/agent.ts'
import type { ApprovalRecord } from './core/approvalRecords.ts'
import { type IntentId, runId } from './core/ids.ts'
import type { AttemptRecord, IntentRecord, Lease, RunRecord } from './core/journal.ts'
import type { AllowedPlan, SimulatedPlan } from './core/lifecycle.ts'
import type { BlockRef, Snapshot } from './core/snapshot.ts'
import type { Verdict } from './core/verdict.ts'
import { analyse } from './stages/analyse.ts'
import { asksAbout, asksAlways, patienceOf, patient } from './stages/approval/asks.ts'
import { requestApproval } from './stages/approval/request.ts'
import { reviewRequest } from './stages/approval/review.ts'
import { approveByPolicy } from './stages/approve.ts'
import { confirm } from './stages/confirm/confirm.ts'
import { isDeep } from './stages/confirm/depth.ts'
import { judgeOutside, noticeStrangers } from './stages/confirm/outside.ts'
import { recheck } from './stages/confirm/recheck.ts'
import { replaceIfStuck } from './stages/confirm/replace.ts'
import { resend } from './stages/confirm/resend.ts'
import { eachInTurn } from './stages/eachInTurn.ts'
import { UnknownIntentError } from './stages/errors.ts'
import { denySimulation, guardContext, guardEffect, guardIntent } from './stages/guard.ts'
import { underLease } from './stages/lease.ts'
import { adoptLedger } from './stages/nonce/adoptLedger.ts'
import { fillGaps } from './stages/nonce/fillGaps.ts'
import { type Nonces, readNonces } from './stages/nonce/readNonces.ts'
import { observe } from './stages/observe.ts'
import { actorOf, agentsOf, isProtectors, ownerOf } from './stages/owner.ts'
import { propose } from './stages/propose.ts'
import { reconcile } from './stages/reconcile.ts'
import type { Runtime } from './stages/runtime.ts'
import { resumePrepared, sign, wasSigned } from './stages/sign.ts'
import { simulate } from './stages/simulate.ts'
import { type Slot, slotOf, slotsOf } from './stages/slot.ts'
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

/**
 * What became of an intent when it was executed. `held`: nobody may let it through but a person, who is asked where there
 * is one; `void`: what a person was asked about does not do any more what was shown.
 */
export type Execution = 'submitted' | 'denied' | 'expired' | 'held' | 'void' | 'refused' | 'done'

/** Carries out an intent on a block, if everything that has a say allows it. */
export async function execute(
  runtime: Runtime,
  agent: Agent,
  id: IntentId,
  block: BlockRef,
): Promise<Execution> {
  const intent = await runtime.journal.intent(id)
  if (intent === null) throw new UnknownIntentError(id)
  const actor = actorOf(runtime, agent)
  if (intent.status === 'signed') await goOn(runtime, agent, actor, id, block)
  if (intent.status !== 'proposed') return 'done'
  // While a person is asked, the intent lasts as long as the request does.
  const request = (await runtime.journal.approvals('waiting')).find(({ intentId }) => intentId === id)
  if (request !== undefined)
    return underLease(runtime, actor, (lease) => takeUp(runtime, agent, lease, intent, request, block))
  if (block.number >= intent.action.expiresAtBlock) {
    await runtime.journal.expireIntent(id)
    return 'expired'
  }

  return underLease(runtime, actor, (lease) => carryOut(runtime, agent, lease, intent, block))
}

/**
 * An earlier delivery of the job was cut off between the claim of the nonce and the broadcast: the signer's process
 * died, or the bytes never left this machine. A rescue does not wait for the next block to go on.
 */
async function goOn(
  runtime: Runtime,
  agent: Agent,
  actor: Address,
  id: IntentId,
  block: BlockRef,
): Promise<void> {
  const isCutOff = ({ intentId, status }: AttemptRecord) =>
    intentId === id && (status === 'prepared' || status === 'signed')
  for (const slot of slotsOf(await runtime.journal.inFlight(actor)))
    if (slot.some(isCutOff)) await follow(runtime, [agent], slot, block)
}

/** From the first guard to the broadcast, under one lease: nothing else is begun on the account meanwhile. */
async function carryOut(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  intent: IntentRecord,
  block: BlockRef,
): Promise<Execution> {
  if (await isOver(runtime, agent, lease, intent, block)) return 'done'
  const policy = runtime.policyOf(agent.id)
  const snapshot = await observe(runtime, agent, block)
  const weighed = await weigh(runtime, agent, intent, snapshot, asksAlways(policy, intent.action))
  if (weighed === null) return 'denied'
  const { plan, verdict, isAsked } = weighed
  if (policy.mode === 'observe') return 'held'
  if (isAsked) {
    await requestApproval(runtime, intent, plan, snapshot, policy)
    return 'held'
  }
  return send(runtime, agent, lease, intent, approveByPolicy(plan, verdict), snapshot)
}

/** Looks at what a person is asked about, and sends it once enough have said yes and it still is what they saw. */
async function takeUp(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  intent: IntentRecord,
  request: ApprovalRecord,
  block: BlockRef,
): Promise<Execution> {
  if (await isOver(runtime, agent, lease, intent, block)) return 'done'
  const snapshot = await observe(runtime, agent, block)
  const review = await reviewRequest(runtime, agent, intent, request, snapshot)
  if (review.kind !== 'allowed') return review.kind
  const execution = await send(runtime, agent, lease, intent, review.plan, snapshot)
  if (execution === 'refused')
    await runtime.journal.endApproval(request.id, 'void', 'the signer refused it: the attempt says why')
  return execution
}

/** Whether the signer signed for the intent before, although the journal has it as proposed: then it is over. */
async function isOver(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  intent: IntentRecord,
  block: BlockRef,
): Promise<boolean> {
  await straighten(runtime, [agent], lease, block)
  if (!(await wasSigned(runtime, lease, intent))) return false
  await runtime.journal.expireIntent(intent.id)
  return true
}

/**
 * Guards and simulation; null when it is denied. What a person turns out to be asked about is made anew, so that it
 * lasts as long as that may take.
 */
async function weigh(
  runtime: Runtime,
  agent: Agent,
  intent: IntentRecord,
  snapshot: Snapshot,
  isAsked: boolean,
): Promise<{ plan: SimulatedPlan; verdict: Verdict; isAsked: boolean } | null> {
  const policy = runtime.policyOf(agent.id)
  const patience = isAsked ? patienceOf(runtime, policy) : 0n
  const wanted = patient(intent, patience)
  const context = () => guardContext(runtime, agent, policy, snapshot, { isAsked })
  if (!(await guardIntent(runtime, await context(), wanted)).allowed) return null

  const simulation = await simulate(runtime, wanted, snapshot, policy, [], patience)
  if (!simulation.ok) {
    await denySimulation(runtime, policy, intent, simulation.reason)
    return null
  }
  const { plan } = simulation
  if (!isAsked && asksAbout(policy, intent.action, plan.effects))
    return weigh(runtime, agent, intent, snapshot, true)
  const verdict = await guardEffect(runtime, await context(), wanted, plan)
  return verdict.allowed ? { plan, verdict, isAsked } : null
}

/** Signature and broadcast of what was let through. */
async function send(
  runtime: Runtime,
  agent: Agent,
  lease: Lease,
  intent: IntentRecord,
  plan: AllowedPlan,
  snapshot: Snapshot,
): Promise<Execution> {
  const { block } = snapshot
  const attempt = await sign(runtime, lease, intent, plan, snapshot)
  if (attempt.status === 'dropped') return 'refused'
  if ((await submit(runtime, attempt, runtime.policyOf(agent.id), block)) === 'misplaced')
    await straighten(runtime, [agent], lease, block)
  return 'submitted'
}

/** Brings journal, ledger and chain to one view of an account's nonces: what was signed is taken up, gaps are filled. */
async function straighten(
  runtime: Runtime,
  agents: readonly Agent[],
  lease: Lease,
  head: BlockRef,
): Promise<void> {
  const nonces = await readNonces(runtime, lease.account, head)
  const adopted = await adoptLedger(runtime, agents, nonces, head, lease)
  for (const attempt of adopted) {
    const policy = runtime.policyOf((await ownerOf(runtime, agents, attempt)).id)
    if (attempt.status === 'signed' && attempt.nonce >= nonces.mined)
      await submit(runtime, attempt, policy, head)
  }
  const straight = adopted.length === 0 ? nonces : await readNonces(runtime, lease.account, head)
  await fillGaps(runtime, agents, straight, head, lease)
}

/**
 * Follows everything that is sent from an account, at a head: what was settled is looked at again, what the signer
 * signed without the journal is taken up, each nonce in flight is followed, and nonces that nothing will use are filled.
 * What goes wrong with one of these holds up none of the others.
 *
 * @param agents of the runtime
 * @param account whose nonces these are (`sendersOf`)
 */
export async function settle(
  runtime: Runtime,
  agents: readonly Agent[],
  account: Address,
  head: BlockRef,
): Promise<void> {
  const own = agentsOf(runtime, agents, account)
  const { journal, logger } = runtime
  /** As they stood at the beginning; null while what the ledger holds is not taken up. */
  let nonces: Nonces | null = null
  await eachInTurn(logger, [
    () => recheck(runtime, agents, account, head),
    async () => {
      const found = await readNonces(runtime, account, head)
      const adopted = await adoptLedger(runtime, own, found, head)
      nonces = adopted.length === 0 ? found : await readNonces(runtime, account, head)
    },
    async () => {
      const slots = slotsOf(await journal.inFlight(account))
      await eachInTurn(
        logger,
        slots.map((slot) => () => follow(runtime, agents, slot, head)),
      )
    },
    async () => {
      // What was recorded on a later nonce would hide what the ledger still has on an earlier one.
      if (nonces === null) return
      // With nothing in flight nothing can have changed since.
      const now = nonces.open.length === 0 ? nonces : await readNonces(runtime, account, head)
      // A protector takes the lowest nonce that is free, so it leaves no gap; and nothing else is signed by its key.
      if (!isProtectors(runtime, agents, account)) await fillGaps(runtime, own, now, head)
      await noticeStrangers(runtime, now, head)
    },
  ])
}

/** Follows one nonce at a head: whichever of its attempts is mined is what counts. */
async function follow(
  runtime: Runtime,
  agents: readonly Agent[],
  found: Slot,
  head: BlockRef,
): Promise<void> {
  await resumePrepared(runtime, agents, found)
  const slot = slotOf(await runtime.journal.inFlight(found[0].account), found)
  if (slot === null) return
  const seen = await confirm(runtime, slot, head)
  if (seen.kind === 'unclear') return

  const agent = await ownerOf(
    runtime,
    agents,
    seen.kind === 'mined' ? seen.attempt : (slot.at(-1) ?? slot[0]),
  )
  const policy = runtime.policyOf(agent.id)
  if (seen.kind === 'used') {
    await judgeOutside(runtime, policy, slot, head)
  } else if (seen.kind === 'mined') {
    if (await isDeep(runtime, policy, seen.receipt.block, head))
      await reconcile(runtime, agent, policy, seen.attempt, seen.receipt, head)
  } else if (isProtectors(runtime, agents, slot[0].account)) {
    // It outbids itself for as long as there is something to rescue. What came too late could only revert.
    if (slot.some(({ plan }) => head.number < plan.lastValidBlock)) await resend(runtime, policy, slot, head)
  } else {
    const replacement = await replaceIfStuck(runtime, agent, slot, head)
    if (replacement === null || replacement.status === 'dropped') await resend(runtime, policy, slot, head)
    else await submit(runtime, replacement, policy, head, slot[0])
  }
}
