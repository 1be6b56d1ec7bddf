import { type Action, isRiskReducing } from '../../core/intent.ts'
import type { IntentRecord } from '../../core/journal.ts'
import type { Effects } from '../../core/lifecycle.ts'
import type { Policy } from '../../guards/policy.ts'
import type { Runtime } from '../runtime.ts'

/**
 * Whether a person is asked about an intent whatever it turns out to do: in `propose`; and where the policy asks from
 * some loss on, about all but what reduces risk, because the signer, which has no prices, wants a person's word for it.
 */
export const asksAlways = ({ mode, approvals }: Policy, action: Action): boolean =>
  mode === 'propose' || (approvals.personAbove !== null && !isRiskReducing(action))

/** Whether a person is asked about what a plan was measured to do. */
export const asksAbout = (policy: Policy, action: Action, { equity }: Effects): boolean => {
  const { personAbove } = policy.approvals
  return asksAlways(policy, action) || (personAbove !== null && equity.before - equity.after > personAbove)
}

/**
 * Blocks that a person has to answer.
 *
 * @example patienceOf({ blockSeconds: 12n }, policy) // 300n, where an approval holds for an hour
 */
export function patienceOf({ blockSeconds }: Pick<Runtime, 'blockSeconds'>, { approvals }: Policy): bigint {
  const seconds = BigInt(approvals.expirySeconds)
  return blockSeconds <= 0n ? seconds : (seconds + blockSeconds - 1n) / blockSeconds
}

/** The intent as it is when a person is asked: it ends later by the time that this may take. */
export const patient = (intent: IntentRecord, patience: bigint): IntentRecord => ({
  ...intent,
  action: { ...intent.action, expiresAtBlock: intent.action.expiresAtBlock + patience },
})
