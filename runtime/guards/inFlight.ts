import { type IntentGuard, rule } from './guard.ts'
import { isRescue } from './standing.ts'

/**
 * No attempt of the account is on its way: its outcome could make this one wrong. A rescue does not wait for one
 * that can change nothing any more: were it never known what used its nonce, nothing would be protected again.
 */
export const inFlight: IntentGuard = (context, intent, plan) => {
  const { history } = context
  const waitsFor = history.inFlight - (isRescue(context, intent, plan) ? history.inert : 0)
  return rule(waitsFor <= 0, 'ATTEMPT_IN_FLIGHT', {
    limit: '0',
    observed: String(waitsFor),
    message:
      waitsFor <= 0
        ? 'Nothing is in flight that it would have to wait for.'
        : `The outcome of ${waitsFor} attempt(s) of the account is not known yet.`,
  })
}
