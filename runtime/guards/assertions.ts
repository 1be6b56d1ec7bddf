import { type Address, isAddressEqual } from 'viem'
import type { Action, IntentOf } from '../core/intent.ts'
import type { SimulatedPlan } from '../core/lifecycle.ts'
import { bps, formatWad, MAX_UINT256, portion } from '../core/units.ts'
import type { DecodedCall } from '../protocols/decodeCall.ts'
import { readCalls } from './calls.ts'
import { allow, deny, type EffectGuard, type GuardContext } from './guard.ts'
import { tokenName } from './valuation.ts'

/**
 * The plan ends in calls to our Assert contract that enforce on-chain what was judged here: the last block always,
 * the health factor and the collateral left wherever the intent can lower them, and what has to come in. Without these, the simulation
 * would promise what a sandwich or a late block need not keep.
 */
export const assertions: EffectGuard = (context, intent, plan) => {
  const calls = readCalls(context, plan)
  const lastAction = calls.findLastIndex(
    (entry) => !(entry.readable && entry.decoded.role === 'rialto.assert'),
  )
  const closing = calls.slice(lastAction + 1).flatMap((entry) => (entry.readable ? [entry.decoded] : []))
  const missing = neededBy(context, intent, plan).find(({ holds }) => !closing.some(holds))
  const made = closing.map(({ functionName }) => functionName).join(', ') || 'none'
  return missing === undefined
    ? allow({ limit: made, observed: made, message: 'What was judged is enforced on-chain.' })
    : deny('ASSERTION_MISSING', {
        limit: missing.what,
        observed: made,
        message: `Nothing enforces ${missing.what} on-chain.`,
      })
}

type Needed = { readonly what: string; readonly holds: (call: DecodedCall) => boolean }

function neededBy(context: GuardContext, intent: Action, plan: SimulatedPlan): readonly Needed[] {
  const { book, account, policy } = context
  const last = plan.lastValidBlock < intent.expiresAtBlock ? plan.lastValidBlock : intent.expiresAtBlock
  const inTime: Needed = {
    what: `the last valid block ${last}`,
    holds: (call) => call.functionName === 'notAfter' && call.args[0] <= last,
  }
  const healthy = (minimum: bigint): Needed => ({
    what: `a health factor of at least ${formatWad(minimum)}`,
    holds: (call) =>
      call.functionName === 'minHealthFactor' &&
      isAddressEqual(call.args[0], book.aaveV3.pool) &&
      isAddressEqual(call.args[1], account) &&
      call.args[2] >= minimum,
  })
  switch (intent.kind) {
    case 'repay':
      return [inTime, healthy(intent.minHealthFactor)]
    case 'deleverage':
      return [inTime, healthy(intent.minHealthFactor), collateralLeft(context, intent, plan)]
    case 'withdraw':
    case 'borrow':
      return plan.effects.position.after.healthFactor === MAX_UINT256
        ? [inTime]
        : [inTime, healthy(policy.healthFactor.minAfter)]
    case 'swap':
      return [inTime, received(context, plan, intent.tokenOut, intent.minAmountOut)]
    case 'liquidate':
      return [inTime, received(context, plan, intent.collateral, intent.minCollateralOut)]
    default:
      return [inTime]
  }
}

/** A floor on a balance of the account. `minimum` null could not be worked out, so that no assertion is enough. */
const keeps = (
  { account }: GuardContext,
  token: Address | undefined,
  minimum: bigint | null,
  what: string,
): Needed => ({
  what: `at least ${minimum ?? 'a measured part'} of ${what}`,
  holds: (call) =>
    call.functionName === 'minBalance' &&
    token !== undefined &&
    isAddressEqual(call.args[0], token) &&
    isAddressEqual(call.args[1], account) &&
    minimum !== null &&
    call.args[2] >= minimum,
})

/** What the account held of a token before; null when it was not measured. */
const heldBefore = (
  { account }: GuardContext,
  plan: SimulatedPlan,
  token: Address | undefined,
): bigint | null =>
  plan.effects.balances.find(
    (delta) =>
      token !== undefined &&
      delta.token !== null &&
      isAddressEqual(delta.token, token) &&
      isAddressEqual(delta.account, account),
  )?.before ?? null

function received(context: GuardContext, plan: SimulatedPlan, token: Address, atLeast: bigint): Needed {
  const before = heldBefore(context, plan, token)
  return keeps(context, token, before === null ? null : before + atLeast, tokenName(context, token))
}

/** A floor on the aTokens: all but what the intent may spend, up to what interest adds until it is measured. */
function collateralLeft(context: GuardContext, intent: IntentOf<'deleverage'>, plan: SimulatedPlan): Needed {
  const aToken = context.book.aaveV3.reserves.find(({ asset }) =>
    isAddressEqual(asset, intent.collateral),
  )?.aToken
  const before = heldBefore(context, plan, aToken)
  const rest = before === null ? null : before - intent.maxCollateralIn
  const minimum = rest === null ? null : rest > 0n ? portion(rest, PART_OF_REST, 'down') : 0n
  return keeps(context, aToken, minimum, 'the collateral')
}

/** The floor is set from a balance at the snapshot's block, and measured with the interest up to the next. */
const PART_OF_REST = bps(9_990n)
