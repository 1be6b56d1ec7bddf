import { type Address, isAddressEqual } from 'viem'
import type { Action } from '../core/intent.ts'
import { readCalls } from './calls.ts'
import { allow, deny, type EffectGuard, type GuardContext } from './guard.ts'

/** No approval is for more than what the intent itself may use of that token: not for all, not for some more. */
export const noUnlimitedApproval: EffectGuard = (context, intent, plan) => {
  let highest = 0n
  for (const entry of readCalls(context, plan)) {
    if (!entry.readable) continue
    const { decoded } = entry
    if (decoded.functionName !== 'approve' && decoded.functionName !== 'approveDelegation') continue
    const [, amount] = decoded.args
    // No plan of ours has others borrow.
    const limit = decoded.functionName === 'approve' ? mayUse(context, intent, entry.call.to) : 0n
    if (amount > limit)
      return deny('APPROVAL_UNLIMITED', {
        limit: limit.toString(),
        observed: amount.toString(),
        message: `It approves ${amount} of ${entry.contract}; the ${intent.kind} uses at most ${limit}.`,
      })
    if (amount > highest) highest = amount
  }
  return allow({
    limit: 'what the intent uses',
    observed: highest.toString(),
    message: 'Approvals are exact.',
  })
}

/** The most of a token that somebody has to be able to take for the intent, in its smallest unit. */
function mayUse({ book }: GuardContext, intent: Action, token: Address): bigint {
  switch (intent.kind) {
    case 'supply':
    case 'repay':
      return isAddressEqual(token, intent.asset) ? intent.amount : 0n
    case 'swap':
      return isAddressEqual(token, intent.tokenIn) ? intent.amountIn : 0n
    case 'liquidate':
      return isAddressEqual(token, intent.debt) ? intent.debtToCover : 0n
    case 'deleverage': {
      const reserve = book.aaveV3.reserves.find(({ asset }) => isAddressEqual(asset, intent.collateral))
      return reserve !== undefined && isAddressEqual(token, reserve.aToken) ? intent.maxCollateralIn : 0n
    }
    default:
      return 0n
  }
}
