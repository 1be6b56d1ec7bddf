import { allow, deny, type IntentGuard } from './guard.ts'

/**
 * There is a block left in which the intent may be executed, its last one is not further ahead than the policy
 * allows, and nor is the plan's; where a person is asked, both by as much as that may take. That a plan does not outlive its intent is enforced on-chain: see `assertions`.
 */
export const expiry: IntentGuard = ({ policy, snapshot, patience = 0n }, intent, plan) => {
  const now = snapshot.block.number
  const last = now + BigInt(policy.intentExpiryBlocks) + patience
  const grounds = { limit: last.toString(), observed: intent.expiresAtBlock.toString() }
  if (intent.expiresAtBlock <= now)
    return deny('INTENT_EXPIRED', {
      limit: (now + 1n).toString(),
      observed: grounds.observed,
      message: `The intent was good up to block ${intent.expiresAtBlock}, and the next one is ${now + 1n}.`,
    })
  if (intent.expiresAtBlock > last)
    return deny('EXPIRY_TOO_FAR', {
      ...grounds,
      message: `The intent is good up to block ${intent.expiresAtBlock}; the policy ends it after block ${last}.`,
    })
  if (plan !== null) {
    const lastValid = plan.block.number + BigInt(policy.lastValidBlocks) + patience
    if (plan.lastValidBlock > lastValid)
      return deny('EXPIRY_TOO_FAR', {
        limit: lastValid.toString(),
        observed: plan.lastValidBlock.toString(),
        message: `The plan could be mined up to block ${plan.lastValidBlock}; the policy ends it after ${lastValid}.`,
      })
    if (plan.lastValidBlock <= now)
      return deny('INTENT_EXPIRED', {
        limit: (now + 1n).toString(),
        observed: plan.lastValidBlock.toString(),
        message: `The plan was good up to block ${plan.lastValidBlock}, and the next one is ${now + 1n}.`,
      })
  }
  return allow({ ...grounds, message: `Good up to block ${intent.expiresAtBlock}.` })
}
