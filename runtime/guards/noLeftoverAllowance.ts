import { type Address, isAddressEqual } from 'viem'
import { readCalls } from './calls.ts'
import { allow, deny, type EffectGuard } from './guard.ts'
import { tokenName } from './valuation.ts'

/**
 * After the plan nobody may take anything: every allowance that it touched, of the account and of our own
 * contracts, is measured to be zero.
 */
export const noLeftoverAllowance: EffectGuard = (context, _intent, plan) => {
  const { account, book } = context
  const ours: readonly Address[] = [account, ...(book.rialto === undefined ? [] : Object.values(book.rialto))]
  for (const { token, owner, spender, after } of plan.effects.allowances)
    if (after !== 0n && ours.some((address) => isAddressEqual(address, owner)))
      return deny('APPROVAL_LEFT_OVER', {
        limit: '0',
        observed: after.toString(),
        message: `${spender} could still take ${after} of ${tokenName(context, token)} from ${owner}.`,
      })
  for (const { call, ...entry } of readCalls(context, plan)) {
    if (!entry.readable) continue
    const { decoded } = entry
    if (decoded.functionName !== 'approve' && decoded.functionName !== 'approveDelegation') continue
    const [spender] = decoded.args
    const measured = plan.effects.allowances.some(
      (entry) =>
        isAddressEqual(entry.token, call.to) &&
        isAddressEqual(entry.owner, account) &&
        isAddressEqual(entry.spender, spender),
    )
    if (!measured)
      return deny('NOT_JUDGEABLE', {
        limit: '0',
        observed: 'unknown',
        message: `It approves ${spender}, and what is left of that was not measured.`,
      })
  }
  return allow({ limit: '0', observed: '0', message: 'No allowance is left.' })
}
