import { isRealChain } from '../core/developmentChains.ts'
import { BPS, mulDiv, type Usd, usd } from '../core/units.ts'
import type { DenialCode } from '../core/verdict.ts'
import { type AgentMode, agentModes } from './agentModes.ts'
import { type Policy, type PolicyLimits, policyVersion, withMode } from './policy.ts'

export const SECONDS_PER_DAY = 86_400n

/** A policy that an agent may have things signed under, and what that takes. */
export type Step = {
  readonly policy: Policy
  /**
   * Seconds in good standing. `never`: it is no step of the agent's, and lets through only what standing does not bind,
   * which is the protector's.
   */
  readonly after: bigint | 'never'
}

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
  'NOT_GRADUATED',
])

/**
 * What an agent may go by on a chain at most. On a real one it begins by asking, whatever its policy says: without
 * steps by which it could rise it asks for good.
 *
 * @example policyOn(executing, 8_453).mode // 'propose', where its graduation is "none"
 * @example policyOn(executing, 31_337) // itself
 */
export function policyOn(policy: Policy, chainId: number): Policy {
  const isHeld = policy.graduation === 'none' && policy.mode === 'execute' && isRealChain(chainId)
  return isHeld ? withMode(policy, 'propose') : policy
}

/** The whole policy from the first block on: for a world that begins anew with every run, where nobody could rise. */
export function withoutSteps(policy: Policy): Policy {
  if (policy.graduation === 'none') return policy
  const { version: _version, ...limits } = policy
  const changed: PolicyLimits = { ...limits, graduation: 'none' }
  return Object.freeze({ ...changed, version: policyVersion(changed) })
}

/**
 * The policy of each step of the graduation, the strictest first; the whole policy alone where there are no steps. A
 * signer derives them as well, so that a step taken needs no restart.
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

/**
 * All policies that a signer may be asked under on a chain, with what each takes: the steps, and the whole policy, by
 * which the protector goes, where no step reaches it.
 *
 * @example stepsOn(policy, 8_453).map(({ after }) => after) // [0n, 604_800n, 2_592_000n]
 * @example stepsOn(withoutSteps(policy), 8_453).map(({ after }) => after) // [0n, 'never']
 */
export function stepsOn(policy: Policy, chainId: number): readonly Step[] {
  const held = policyOn(policy, chainId)
  const { graduation } = held
  const steps = graduatedPolicies(held).map((at, index): Step => {
    const step = graduation === 'none' ? undefined : graduation[index]
    return { policy: at, after: step === undefined ? 0n : secondsOf(step) }
  })
  const isReached = steps.some((step) => step.policy.version === policy.version)
  return isReached ? steps : [...steps, { policy, after: 'never' }]
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
export const standing = (policy: Policy, goodSince: bigint | null, now: bigint): number =>
  standingAfter(policy, goodSince === null ? 0n : now - goodSince)

/**
 * The step that an agent stands on after so many seconds in good standing.
 *
 * @returns an index into {@link graduatedPolicies}
 * @example standingAfter(policy, 7n * 86_400n - 1n) // 0, with steps of 0, 7 and 30 days
 */
export function standingAfter(policy: Policy, seconds: bigint): number {
  if (policy.graduation === 'none') return 0
  return Math.max(
    0,
    policy.graduation.findLastIndex((step) => secondsOf(step) <= seconds),
  )
}

/** What a step takes, in seconds in good standing. @example secondsOf({ days: 7 }) // 604_800n */
export const secondsOf = ({ days }: { readonly days: number }): bigint => BigInt(days) * SECONDS_PER_DAY
