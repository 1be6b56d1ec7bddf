import { type Address, isAddressEqual } from 'viem'
import type { Agent } from '../core/agent.ts'
import type { ApprovalRecord } from '../core/approvalRecords.ts'
import type { AttemptRecord, IntentRecord } from '../core/journal.ts'
import type { Plan, SimulatedPlan } from '../core/lifecycle.ts'
import { findPosition, type Snapshot } from '../core/snapshot.ts'
import { formatUsd, type Usd, usd } from '../core/units.ts'
import { denials, type Verdict } from '../core/verdict.ts'
import { judgeGas } from '../guards/gasCap.ts'
import { type GuardContext, judgeEffect, judgeIntent } from '../guards/index.ts'
import type { Policy } from '../guards/policy.ts'
import { isRescue } from '../guards/standing.ts'
import { tradingState } from '../guards/tradingState.ts'
import { patienceOf } from './approval/asks.ts'
import { actorOf } from './owner.ts'
import type { Runtime } from './runtime.ts'
import { isEmpty, type Slot, slotsOf } from './slot.ts'

/** How a person has to do with what is judged. */
export type Asking = {
  /** Whether a person is asked about it: then it waits for whatever a person is asked about on the account. */
  readonly isAsked?: boolean
  /** What a person was asked, when that is what is judged. It waits for no other. */
  readonly request?: ApprovalRecord
}

/** What the guards judge by. Read anew for each phase: the owner may have spoken while it was simulated. */
export async function guardContext(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  snapshot: Snapshot,
  { isAsked = false, request }: Asking = {},
): Promise<GuardContext> {
  const since = snapshot.block.timestamp - BigInt(policy.spend.windowSeconds)
  const { journal } = runtime
  const [history, tradingState, attempts, requests] = await Promise.all([
    // What a protector spends is reserved for it, and no spend of the agent's.
    journal.history(
      agent.id,
      agent.account,
      since > 0n ? since : 0n,
      runtime.protectorOf?.(agent.id) ?? null,
    ),
    journal.tradingState(agent.id, agent.account),
    journal.inFlight(),
    journal.approvals('waiting'),
  ])
  const others = requests.filter(
    ({ id, account }) => id !== request?.id && isAddressEqual(account, agent.account),
  )
  const mayBeSpent = others.reduce((sum, { reserved }) => sum + reserved, 0n)
  const waiting = request === undefined ? others.length : 0
  const actor = actorOf(runtime, agent)
  const slots = slotsOf(
    // Of a Safe, what others send for it changes it as well.
    attempts.filter(
      ({ account, plan }) => isAddressEqual(account, actor) || isAddressEqual(plan.account, agent.account),
    ),
  ).filter((slot) => !isTooLate(slot, actor, snapshot))
  const inert = slots.filter((slot) => slot.every((attempt) => isInert(attempt, actor, snapshot))).length
  return {
    policy,
    book: runtime.book,
    snapshot,
    history: {
      ...history,
      spent: usd(history.spent + mayBeSpent),
      inFlight: slots.length + waiting,
      // A rescue that needs no person does not wait for one.
      inert: inert + (isAsked ? 0 : waiting),
    },
    tradingState,
    account: agent.account,
    ...(isAsked || request !== undefined ? { patience: patienceOf(runtime, policy) } : {}),
  }
}

/**
 * What another sent for a Safe, is in no block, and could only revert in the next: nobody has to sign anything on its
 * nonce, so waiting for it might never end. What the actor itself sent holds up its own nonces.
 */
const isTooLate = (slot: Slot, actor: Address, { block }: Snapshot): boolean =>
  slot.every(
    ({ account, status, plan }) =>
      !isAddressEqual(account, actor) && status !== 'mined' && plan.lastValidBlock <= block.number,
  )

/**
 * Nothing can come of it any more that the snapshot does not have: it does nothing, it is in a block that the snapshot
 * was read after, or, of those whose nonce is used or another's, its last valid block is over.
 */
const isInert = (attempt: AttemptRecord, actor: Address, { block }: Snapshot): boolean => {
  const { status, plan, blockNumber, account } = attempt
  if (isEmpty(attempt)) return true
  if (status === 'mined') return blockNumber !== null && blockNumber <= block.number
  const isPast = status === 'unknown' || !isAddressEqual(account, actor)
  return isPast && plan.lastValidBlock <= block.number
}

/**
 * What speaks against a replacement that does the same for more: the owner's word, the caps on spend, or the gas guard;
 * null if nothing does.
 *
 * @param more its plan, what is to be held back for it, and what is held back for it already
 */
export async function whyNotReplace(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  intent: IntentRecord,
  snapshot: Snapshot,
  { plan, reserved, instead }: { readonly plan: Plan; readonly reserved: Usd; readonly instead: Usd },
): Promise<string | null> {
  const context = await guardContext(runtime, agent, policy, snapshot)
  const { action } = intent
  const state = tradingState(context, action, null)
  if (!state.allowed) return state.message
  const rescue = isRescue(context, action, null)
  const { spend } = rescue ? policy.riskReducing : policy
  if (reserved > spend.perTransaction || context.history.spent + reserved - instead > spend.rolling)
    return `it could cost $${formatUsd(reserved)}, more than the caps on spend leave`
  const debt = findPosition(snapshot, agent.account)?.account.totalDebt ?? usd(0n)
  const gas = judgeGas(context, plan, rescue, debt)
  return gas.allowed ? null : gas.message
}

/** The cheap limits, before anything is simulated. The verdict is in the journal when this returns. */
export async function guardIntent(
  runtime: Runtime,
  context: GuardContext,
  intent: IntentRecord,
): Promise<Verdict> {
  return record(runtime, intent, judgeIntent(context, intent.action))
}

/** The limits on what the simulation measured. The verdict is in the journal when this returns. */
export async function guardEffect(
  runtime: Runtime,
  context: GuardContext,
  intent: IntentRecord,
  plan: SimulatedPlan,
): Promise<Verdict> {
  return record(runtime, intent, judgeEffect(context, intent.action, plan))
}

/** A simulation that reverts denies like a guard does, and is recorded like one. */
export async function denySimulation(
  runtime: Runtime,
  policy: Policy,
  intent: IntentRecord,
  reason: string,
): Promise<Verdict> {
  return record(runtime, intent, {
    phase: 'effect',
    allowed: false,
    policyVersion: policy.version,
    findings: [
      {
        guard: 'simulation',
        allowed: false,
        code: 'SIMULATION_REVERTED',
        limit: 'runs to its end',
        observed: reason,
        message: `The plan does not run on the newest block: ${reason}.`,
      },
    ],
  })
}

async function record(runtime: Runtime, intent: IntentRecord, verdict: Verdict): Promise<Verdict> {
  await runtime.journal.recordVerdict(intent.id, verdict, verdict.allowed ? 'proposed' : 'denied')
  if (!verdict.allowed) {
    const codes = denials(verdict).map((finding) => finding.code)
    runtime.logger.warn({ intent: intent.id, phase: verdict.phase, codes }, 'intent denied')
  }
  return verdict
}
