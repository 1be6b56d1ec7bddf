import type { Agent } from '../core/agent.ts'
import type { IntentRecord } from '../core/journal.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { denials, type Verdict } from '../core/verdict.ts'
import { type GuardContext, judgeEffect, judgeIntent } from '../guards/index.ts'
import type { Policy } from '../guards/policy.ts'
import type { Runtime } from './runtime.ts'

/** What the guards judge by: read once for an intent, so that both phases see the same past. */
export async function guardContext(
  runtime: Runtime,
  agent: Agent,
  policy: Policy,
  snapshot: Snapshot,
): Promise<GuardContext> {
  const since = snapshot.block.timestamp - BigInt(policy.spend.windowSeconds)
  const [history, tradingState] = await Promise.all([
    runtime.journal.history(agent.id, agent.account, since > 0n ? since : 0n),
    runtime.journal.tradingState(agent.id),
  ])
  return { policy, book: runtime.book, snapshot, history, tradingState, account: agent.account }
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
