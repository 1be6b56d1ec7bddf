import { type IntentGuard, rule } from './guard.ts'

/** No attempt of the account is on its way: its outcome could make this one wrong. */
export const inFlight: IntentGuard = ({ history }) =>
  rule(history.inFlight === 0, 'ATTEMPT_IN_FLIGHT', {
    limit: '0',
    observed: String(history.inFlight),
    message:
      history.inFlight === 0
        ? 'Nothing is in flight.'
        : `The outcome of ${history.inFlight} attempt(s) of the account is not known yet.`,
  })
