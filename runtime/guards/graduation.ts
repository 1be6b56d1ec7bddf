import { BPS, mulDiv, type Usd, usd } from '../core/units.ts'
import type { DenialCode } from '../core/verdict.ts'
import { type AgentMode, agentModes } from './agentModes.ts'
import { type Policy, type PolicyLimits, policyVersion } from './policy.ts'

const DAY = 86_400n

/**
 * Denials that say "later", not "you wanted what you may not": they happen to an agent that does nothing wrong, and
 * take nothing from its standing.
 */
export const WAITING: ReadonlySet<DenialCode> = new Set<DenialCode>([
  'COOLDOWN',
  'ATTEMPT_IN_FLIGHT',
  'INTENT_EXPIRED',
  'TRADING_HALTED',
  'TRADING_REDUCING',
])

/**
 * The policy of each step of the graduation, the strictest first; the whole policy alone where there are no steps. A
 * signer is started with all of them, so that a step taken needs no restart.
 *
 * A step lowers the caps on ordinary spend, and with them what gas may cost; it never lowers the limits of a rescue,
 * because a guard that blocks a rescue is a loss too.
 *
 * @example graduatedPolicies(policy).at(-1) // the policy itself, if its last step allows its mode
 */
export function graduatedPolicies(policy: Policy): readonly [Policy, ...Policy[]] {
  if (policy.graduation === 'none') return [policy]
  const [first, ...rest] = policy.graduation.map(({ mode, part }) => atStep(policy, mode, part))
  return first === undefined ? [policy] : [first, ...rest]
}

function atStep({ version: _version, ...limits }: Policy, mode: AgentMode, part: bigint): Policy {
  const share = (amount: Usd): Usd => usd(mulDiv(amount, part, BPS, 'down'))
  const spend = {
    ...limits.spend,
    perTransaction: share(limits.spend.perTransaction),
    rolling: share(limits.spend.rolling),
  }
  const maxCost = limits.gas.maxCost > spend.perTransaction ? spend.perTransaction : limits.gas.maxCost
  const changed: PolicyLimits = {
    ...limits,
    mode: agentModes.indexOf(mode) < agentModes.indexOf(limits.mode) ? mode : limits.mode,
    spend,
    gas: { ...limits.gas, maxCost },
  }
  return Object.freeze({ ...changed, version: policyVersion(changed) })
}

/**
 * The step that an agent stands on.
 *
 * @param goodSince chain time in seconds of its last denial or deviation, or of its first run if it never had one;
 *   null when it has not run yet
 * @param now chain time in seconds
 * @returns an index into {@link graduatedPolicies}
 * @example standing(policy, 1_700_000_000n, 1_700_000_000n + 8n * 86_400n) // 1, with steps of 0, 7 and 30 days
 */
export function standing(policy: Policy, goodSince: bigint | null, now: bigint): number {
  if (policy.graduation === 'none' || goodSince === null || now < goodSince) return 0
  const days = (now - goodSince) / DAY
  return Math.max(
    0,
    policy.graduation.findLastIndex((step) => BigInt(step.days) <= days),
  )
}
