import type { Agent } from '../core/agent.ts'
import type { AttemptRecord, IntentRecord } from '../core/journal.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { denials, type Verdict } from '../core/verdict.ts'
import { type GuardContext, judgeEffect, judgeIntent } from '../guards/index.ts'
import type { Policy } from '../guards/policy.ts'
import type { Runtime } from './runtime.ts'

/** What the guards judge by. Read anew for each phase: the owner may have spoken while it was simulated. */
export async function guardContext(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  snapshot: Snapshot,
): Promise<GuardContext> {
  const since = snapshot.block.timestamp - BigInt(policy.spend.windowSeconds)
  const { journal } = runtime
  const [history, tradingState, attempts] = await Promise.all([
    journal.history(agent.id, agent.account, since > 0n ? since : 0n),
    journal.tradingState(agent.id, agent.account),
    journal.inFlight(agent.account),
  ])
  const inert = attempts.filter((attempt) => isInert(attempt, snapshot)).length
  return {
    policy,
    book: runtime.book,
    snapshot,
    history: { ...history, inert },
    tradingState,
    account: agent.account,
  }
}

/**
 * Nobody knows what became of it, but nothing can come of it any more: its nonce is used, and if it was used by the
 * attempt itself after all, the snapshot has its effect, because its last valid block is over.
 */
const isInert = ({ status, plan }: AttemptRecord, { block }: Snapshot): boolean =>
  status === 'unknown' && plan.lastValidBlock <= block.number

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
