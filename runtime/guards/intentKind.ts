import { allow, deny, type IntentGuard } from './guard.ts'

/** The kind of the intent is one that the policy allows. */
export const intentKind: IntentGuard = ({ policy }, { kind }) => {
  const grounds = { limit: policy.intents.join(', ') || 'none', observed: kind }
  return policy.intents.includes(kind)
    ? allow({ ...grounds, message: `The policy allows ${kind}.` })
    : deny('INTENT_KIND_NOT_ALLOWED', { ...grounds, message: `The policy does not allow ${kind}.` })
}
