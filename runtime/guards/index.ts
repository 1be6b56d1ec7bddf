import { describeError } from '../core/errors.ts'
import type { Action } from '../core/intent.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import type { Finding, Verdict } from '../core/verdict.ts'
import { allowlist } from './allowlist.ts'
import { assertions } from './assertions.ts'
import { cooldown } from './cooldown.ts'
import { drawdown } from './drawdown.ts'
import { effectExpected } from './effectExpected.ts'
import { expiry } from './expiry.ts'
import { gasCap } from './gasCap.ts'
import { deny, type EffectGuard, type GuardContext, type IntentGuard, type Ruling } from './guard.ts'
import { healthFactorFloor } from './healthFactorFloor.ts'
import { inFlight } from './inFlight.ts'
import { intentKind } from './intentKind.ts'
import { noLeftoverAllowance } from './noLeftoverAllowance.ts'
import { noUnlimitedApproval } from './noUnlimitedApproval.ts'
import { oracleAge } from './oracleAge.ts'
import { oracleDeviation } from './oracleDeviation.ts'
import { planBinding } from './planBinding.ts'
import { recipients } from './recipients.ts'
import { slippageOracle } from './slippageOracle.ts'
import { slippagePool } from './slippagePool.ts'
import { spendCapRolling } from './spendCapRolling.ts'
import { spendCapTransaction } from './spendCapTransaction.ts'
import { tokenKnown } from './tokenKnown.ts'
import { tradingState } from './tradingState.ts'

export type { GuardContext } from './guard.ts'

/** Guards on what is wanted, by name, in the order of the record. */
export const intentGuards: Readonly<Record<string, IntentGuard>> = {
  tradingState,
  intentKind,
  expiry,
  inFlight,
  tokenKnown,
  recipients,
  oracleAge,
  oracleDeviation,
  cooldown,
  drawdown,
}

/** Guards on what the simulation measured, by name, in the order of the record. */
export const effectGuards: Readonly<Record<string, EffectGuard>> = {
  planBinding,
  allowlist,
  assertions,
  effectExpected,
  noUnlimitedApproval,
  noLeftoverAllowance,
  healthFactorFloor,
  slippageOracle,
  slippagePool,
  gasCap,
  spendCapTransaction,
  spendCapRolling,
}

/**
 * Judges an intent before anything is simulated. Every guard answers; one that cannot is a denial.
 *
 * @example judgeIntent(context, intent).allowed
 */
export function judgeIntent(context: GuardContext, intent: Action): Verdict {
  return verdict(context, 'intent', [
    ...Object.entries(intentGuards).map(([name, guard]) => ask(name, () => guard(context, intent, null))),
  ])
}

/**
 * Judges a simulated plan. Every guard answers, those on the intent once more: what they believed before the
 * simulation has been measured since, and this verdict is the one that a signature rests on.
 */
export function judgeEffect(context: GuardContext, intent: Action, plan: SimulatedPlan): Verdict {
  return verdict(context, 'effect', [
    ...Object.entries(intentGuards).map(([name, guard]) => ask(name, () => guard(context, intent, plan))),
    ...Object.entries(effectGuards).map(([name, guard]) => ask(name, () => guard(context, intent, plan))),
  ])
}

/** A guard that throws could not judge, and what cannot be judged is denied. */
function ask(guard: string, judge: () => Ruling): Finding {
  try {
    return { guard, ...judge() }
  } catch (error) {
    const reason = describeError(error)
    return {
      guard,
      ...deny('NOT_JUDGEABLE', {
        limit: 'none',
        observed: 'error',
        message: `The guard could not judge: ${reason}`,
      }),
    }
  }
}

const verdict = (
  { policy }: GuardContext,
  phase: Verdict['phase'],
  findings: readonly Finding[],
): Verdict => ({
  phase,
  allowed: findings.length > 0 && findings.every((finding) => finding.allowed),
  findings,
  policyVersion: policy.version,
})
