import { isAddressEqual } from 'viem'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { readCalls } from './calls.ts'
import { allow, deny, type EffectGuard, type GuardContext, type Ruling } from './guard.ts'

/**
 * Every call of the plan can be read, goes to a contract and a function that the policy names, carries no native
 * coin, and the account runs no code but our BatchAccount.
 */
export const allowlist: EffectGuard = (context, _intent, plan) => {
  const { policy } = context
  const limit = Object.keys(policy.contracts).join(', ') || 'none'
  const delegation = judgeDelegation(context, plan)
  if (delegation !== null) return delegation
  for (const entry of readCalls(context, plan)) {
    const { call, contract } = entry
    if (contract === null)
      return deny('CONTRACT_NOT_ALLOWED', {
        limit,
        observed: call.to,
        message: `It calls ${call.to}, which is not in the address book.`,
      })
    const functions = Object.hasOwn(policy.contracts, contract) ? policy.contracts[contract] : undefined
    if (functions === undefined)
      return deny('CONTRACT_NOT_ALLOWED', {
        limit,
        observed: contract,
        message: `It calls ${contract}, which the policy does not allow.`,
      })
    if (call.value !== 0n)
      return deny('RECIPIENT_NOT_ALLOWED', {
        limit: '0',
        observed: call.value.toString(),
        message: `It sends ${call.value} wei to ${contract}; no call of ours sends the native coin.`,
      })
    if (!entry.readable)
      return deny('CALLDATA_UNREADABLE', {
        limit: functions.join(', '),
        observed: contract,
        message: `What it calls ${contract} with cannot be read.`,
      })
    const { functionName } = entry.decoded
    if (!functions.includes(functionName))
      return deny('SELECTOR_NOT_ALLOWED', {
        limit: functions.join(', '),
        observed: functionName,
        message: `It calls ${contract}.${functionName}; the policy allows ${functions.join(', ')} there.`,
      })
  }
  return allow({ limit, observed: `${plan.calls.length} calls`, message: 'Every call is allowed.' })
}

/** The code that will run as the account. Null when it is ours. */
function judgeDelegation({ book, snapshot }: GuardContext, plan: SimulatedPlan): Ruling | null {
  const code = plan.delegateTo ?? snapshot.wallet.delegation
  const ours = book.rialto?.batchAccount
  if (ours === undefined)
    return deny('CONTRACT_NOT_ALLOWED', {
      limit: 'none',
      observed: code ?? 'none',
      message: 'Our own contracts are not in the address book, so no plan can be atomic.',
    })
  // A Safe runs MultiSend for the batch, by the route that the signer holds the plan to, and nothing instead of itself.
  if (plan.via !== undefined && code === null) return null
  if (code === null)
    return deny('EFFECT_UNEXPECTED', {
      limit: ours,
      observed: 'none',
      message: 'The account delegates to no contract, so the batch would succeed and do nothing.',
    })
  if (!isAddressEqual(code, ours))
    return deny('CONTRACT_NOT_ALLOWED', {
      limit: ours,
      observed: code,
      message: `The account would run the code of ${code}, which is not our BatchAccount.`,
    })
  return null
}
