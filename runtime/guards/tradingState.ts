import { allow, deny, type IntentGuard } from './guard.ts'
import { reducesRisk } from './standing.ts'

/** The owner has not stopped the agent; one that may only reduce risk does no more than that. */
export const tradingState: IntentGuard = (context, intent, plan) => {
  const state = context.tradingState
  const grounds = { limit: state, observed: intent.kind }
  switch (state) {
    case 'active':
      return allow({ ...grounds, message: 'The agent is active.' })
    case 'reducing':
      return reducesRisk(context, intent, plan)
        ? allow({ ...grounds, message: `The agent may only reduce risk, which this ${intent.kind} does.` })
        : deny('TRADING_REDUCING', {
            ...grounds,
            message: `The agent may only reduce risk, which this ${intent.kind} does not.`,
          })
    default:
      return deny('TRADING_HALTED', { ...grounds, message: 'The agent is halted.' })
  }
}
