import { allow, deny, type IntentGuard } from './guard.ts'
import { isRescue } from './standing.ts'

/** Enough time has passed since the account's last action. A rescue does not wait. */
export const cooldown: IntentGuard = (context, intent, plan) => {
  const { policy, history, snapshot } = context
  const limit = String(policy.cooldownSeconds)
  if (isRescue(context, intent, plan))
    return allow({ limit: 'none', observed: intent.kind, message: 'A rescue has no cooldown.' })
  if (history.lastActionAt === null)
    return allow({ limit, observed: 'none', message: 'It is the first action of the account.' })
  const passed = snapshot.block.timestamp - history.lastActionAt
  const grounds = { limit, observed: passed.toString() }
  return passed >= BigInt(policy.cooldownSeconds)
    ? allow({ ...grounds, message: `The last action was ${passed} s ago.` })
    : deny('COOLDOWN', {
        ...grounds,
        message: `The last action was ${passed} s ago; the policy waits ${policy.cooldownSeconds} s.`,
      })
}
