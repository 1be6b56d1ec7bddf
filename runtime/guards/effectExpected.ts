import { type Address, isAddressEqual } from 'viem'
import type { Action } from '../core/intent.ts'
import type { BalanceDelta, SimulatedPlan } from '../core/lifecycle.ts'
import { allow, deny, type EffectGuard, type GuardContext } from './guard.ts'
import { changeOf, ownChanges, tokenName } from './valuation.ts'

/**
 * The plan does what the intent says and nothing besides: it emitted logs (a stale authorisation succeeds in
 * silence), the account's balances moved in the intent's tokens within the intent's amounts, and nobody else but
 * contracts of the address book was credited.
 */
export const effectExpected: EffectGuard = (context, intent, plan) => {
  const limit = intent.kind
  const unexpected = (observed: string, message: string) =>
    deny('EFFECT_UNEXPECTED', { limit, observed, message })

  if (!(plan.effects.logCount > 0))
    return unexpected('no logs', 'The transaction succeeds and does nothing: its authorisation may be stale.')

  const stranger = strangerCredited(context, intent, plan)
  if (stranger !== null)
    return unexpected(
      stranger.account,
      `${stranger.account} would receive ${nameOf(context, stranger.token)}, and is no part of this ${intent.kind}.`,
    )

  const expectations = expectedOf(context, intent)
  for (const { what, account, tokens, min, max } of expectations) {
    const changes = tokens.map((token) => changeOf(plan, account, token))
    if (changes.some((change) => change === null))
      return deny('NOT_JUDGEABLE', { limit, observed: what, message: `The ${what} was not measured.` })
    const total = changes.reduce<bigint>((sum, change) => sum + (change ?? 0n), 0n)
    if (total < min || total > max)
      return unexpected(
        total.toString(),
        `The ${what} changes by ${total}; between ${min} and ${max} was expected.`,
      )
  }

  for (const delta of ownChanges(context, plan)) {
    const lost = losesBy(context, delta)
    if (
      lost &&
      !expectations.some(({ account, tokens }) => concerns(account, tokens, delta)) &&
      !isGas(plan, delta)
    )
      return unexpected(
        (delta.after - delta.before).toString(),
        `The account's ${nameOf(context, delta.token)} changes by ${delta.after - delta.before}, which no ${intent.kind} does.`,
      )
  }
  return allow({
    limit,
    observed: limit,
    message: `It does what a ${intent.kind} does, and nothing besides.`,
  })
}

/** A bound on how much the balance of an account in some tokens together may change, smallest unit, signed. */
type Expectation = {
  readonly what: string
  readonly account: Address
  readonly tokens: readonly Address[]
  readonly min: bigint
  readonly max: bigint
}

/** aTokens and debt tokens are scaled: their balances can be off by a unit each way per operation. */
const SCALING_DUST = 2n

function expectedOf(context: GuardContext, intent: Action): readonly Expectation[] {
  const { account } = context
  const own = (what: string, token: Address | undefined, min: bigint, max: bigint): Expectation => ({
    what,
    account,
    // A reserve that is not in the book cannot be measured; the empty list makes nothing of it, and tokenKnown denies.
    tokens: token === undefined ? [] : [token],
    min,
    max,
  })
  const aToken = (asset: Address) => reserveOf(context, asset)?.aToken
  const debtToken = (asset: Address) => reserveOf(context, asset)?.variableDebtToken
  switch (intent.kind) {
    case 'supply':
      return [
        own('asset in the wallet', intent.asset, -intent.amount, -intent.amount),
        own('collateral', aToken(intent.asset), intent.amount - SCALING_DUST, intent.amount + SCALING_DUST),
      ]
    case 'withdraw':
      return [
        own('asset in the wallet', intent.asset, 1n, intent.amount),
        own('collateral', aToken(intent.asset), -intent.amount - SCALING_DUST, -1n),
      ]
    case 'borrow':
      return [
        own('asset in the wallet', intent.asset, intent.amount, intent.amount),
        own('debt', debtToken(intent.asset), intent.amount - SCALING_DUST, intent.amount + SCALING_DUST),
      ]
    case 'repay':
      return [
        own('asset in the wallet', intent.asset, -intent.amount, -1n),
        own('debt', debtToken(intent.asset), -intent.amount - SCALING_DUST, -1n),
      ]
    case 'deleverage':
      return [
        own('debt', debtToken(intent.debt), -intent.repayAmount - SCALING_DUST, -1n),
        own('collateral', aToken(intent.collateral), -intent.maxCollateralIn - SCALING_DUST, -1n),
      ]
    case 'swap':
      return [
        own('token given', intent.tokenIn, -intent.amountIn, -1n),
        own('token got', intent.tokenOut, intent.minAmountOut, UNBOUNDED),
      ]
    case 'transfer':
      return [
        own('asset in the wallet', intent.asset, -intent.amount, -intent.amount),
        {
          what: 'balance of the recipient',
          account: intent.to,
          tokens: [intent.asset],
          min: intent.amount,
          max: intent.amount,
        },
      ]
    case 'liquidate':
      return [
        own('debt asset in the wallet', intent.debt, -intent.debtToCover, -1n),
        own('collateral seized', intent.collateral, intent.minCollateralOut, UNBOUNDED),
      ]
    case 'revoke':
      // No balance moves: whatever falls all the same is no part of it.
      return [own('asset in the wallet', intent.asset, 0n, UNBOUNDED)]
  }
}

const UNBOUNDED = 2n ** 256n

const reserveOf = ({ book }: GuardContext, asset: Address) =>
  book.aaveV3.reserves.find((reserve) => isAddressEqual(reserve.asset, asset))

/**
 * The first balance of somebody else that grew and should not have: of whoever is neither in the address book nor
 * who a transfer names. In a liquidation Aave credits its treasury with the borrower's collateral, so only tokens
 * that the account itself lost count there.
 */
function strangerCredited(context: GuardContext, intent: Action, plan: SimulatedPlan): BalanceDelta | null {
  const known = [...partiesOf(context), ...(intent.kind === 'transfer' ? [intent.to] : [])]
  const lost = ownChanges(context, plan).filter((delta) => delta.after < delta.before)
  const isLost = (token: Address | null) =>
    lost.some((delta) =>
      delta.token === null || token === null ? delta.token === token : isAddressEqual(delta.token, token),
    )
  return (
    plan.effects.balances.find(
      ({ account, token, before, after }) =>
        after > before &&
        !isAddressEqual(account, context.account) &&
        !known.some((party) => isAddressEqual(party, account)) &&
        (intent.kind !== 'liquidate' || isLost(token)),
    ) ?? null
  )
}

/** Contracts that hold other people's tokens for a living. */
const partiesOf = ({ book }: GuardContext): readonly Address[] => [
  ...book.aaveV3.reserves.map((reserve) => reserve.aToken),
  ...book.uniswapV3.pools.map((pool) => pool.address),
]

/** Whether a change is to the account's disadvantage: less of a token, or more of a debt. */
function losesBy({ book }: GuardContext, { token, before, after }: BalanceDelta): boolean {
  const isDebt =
    token !== null && book.aaveV3.reserves.some((reserve) => isAddressEqual(reserve.variableDebtToken, token))
  return isDebt ? after > before : after < before
}

const concerns = (account: Address, tokens: readonly Address[], delta: BalanceDelta): boolean =>
  isAddressEqual(account, delta.account) &&
  tokens.some((token) => delta.token !== null && isAddressEqual(token, delta.token))

/** Some nodes charge gas in a simulation, others do not. */
const isGas = (plan: SimulatedPlan, { token, before, after }: BalanceDelta): boolean =>
  token === null && before - after <= plan.gasLimit * plan.maxFeePerGas

const nameOf = (context: GuardContext, token: Address | null): string =>
  token === null ? 'native coin' : tokenName(context, token)
