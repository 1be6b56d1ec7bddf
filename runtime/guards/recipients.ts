import { type Address, isAddressEqual } from 'viem'
import { InvariantError } from '../core/errors.ts'
import type { Action } from '../core/intent.ts'
import type { DecodedCall } from '../protocols/decodeCall.ts'
import { readCalls } from './calls.ts'
import { allow, deny, type GuardContext, type IntentGuard } from './guard.ts'

/**
 * Money goes to nobody but the account itself and, in a transfer, to whom the policy names. Contracts that a call
 * hands tokens or allowances to are those of the address book.
 */
export const recipients: IntentGuard = (context, intent, plan) => {
  const { policy, account } = context
  const limit = [account, ...policy.recipients].join(', ')
  if (intent.kind === 'transfer' && !includes(policy.recipients, intent.to))
    return deny('RECIPIENT_NOT_ALLOWED', {
      limit,
      observed: intent.to,
      message: `${intent.to} is not among the recipients of the policy.`,
    })
  for (const entry of plan === null ? [] : readCalls(context, plan)) {
    // What cannot be read is for the allowlist to deny.
    if (!entry.readable) continue
    for (const { named, allowed } of partiesOf(context, intent, entry.decoded))
      if (!includes(allowed, named))
        return deny('RECIPIENT_NOT_ALLOWED', {
          limit: allowed.join(', ') || 'none',
          observed: named,
          message: `${entry.contract}.${entry.decoded.functionName} names ${named}, who is not expected there.`,
        })
  }
  return allow({ limit, observed: account, message: 'Nobody else receives anything.' })
}

/** An address among a call's arguments, and who it may be. */
type Party = { readonly named: Address; readonly allowed: readonly Address[] }

/** Whom a call hands something to, or makes able to take something. */
function partiesOf({ book, account }: GuardContext, intent: Action, call: DecodedCall): readonly Party[] {
  const own = [account]
  switch (call.functionName) {
    case 'supply':
    case 'withdraw':
      return [{ named: call.args[2], allowed: own }]
    case 'borrow':
      return [{ named: call.args[4], allowed: own }]
    case 'repay':
      return [{ named: call.args[3], allowed: own }]
    case 'liquidationCall':
      return [{ named: call.args[2], allowed: intent.kind === 'liquidate' ? [intent.user] : [] }]
    case 'transfer':
      return [{ named: call.args[0], allowed: intent.kind === 'transfer' ? [intent.to] : [] }]
    case 'approve':
      return [
        {
          named: call.args[0],
          // Who may take something, or whose allowance is taken back: that one can be anybody.
          allowed:
            intent.kind === 'revoke'
              ? [intent.spender]
              : [
                  book.aaveV3.pool,
                  book.uniswapV3.swapRouter,
                  ...(book.rialto ? [book.rialto.flashRepay] : []),
                ],
        },
      ]
    case 'approveDelegation':
      return [{ named: call.args[0], allowed: intent.kind === 'revoke' ? [intent.spender] : [] }]
    case 'exactInputSingle':
      return [{ named: call.args[0].recipient, allowed: own }]
    case 'flashRepay': {
      const [order] = call.args
      return [
        { named: order.aave, allowed: [book.aaveV3.pool] },
        { named: order.pool, allowed: intent.kind === 'deleverage' ? [intent.pool] : [] },
        { named: order.aToken, allowed: book.aaveV3.reserves.map((reserve) => reserve.aToken) },
      ]
    }
    case 'minHealthFactor':
    case 'minBalance':
    case 'maxBalance':
    case 'zeroAllowance':
    case 'notAfter':
      return []
    default:
      return unknownFunction(call)
  }
}

/** The compiler holds the list above complete; at run time a function that is not in it denies. */
function unknownFunction(call: never): never {
  throw new InvariantError('A call is readable whose recipients nobody has listed.', { call })
}

const includes = (list: readonly Address[], address: Address): boolean =>
  list.some((candidate) => isAddressEqual(candidate, address))
