import { type Address, isAddressEqual } from 'viem'
import type { Token } from '../core/addressBook.ts'
import { InvariantError } from '../core/errors.ts'
import type { Action } from '../core/intent.ts'
import type { BalanceDelta, Plan, SimulatedPlan } from '../core/lifecycle.ts'
import { findPosition } from '../core/snapshot.ts'
import {
  type Rounding,
  type TokenAmount,
  tokenAmount,
  type Usd,
  usd,
  usdValue,
  type Wei,
} from '../core/units.ts'
import type { GuardContext } from './guard.ts'

/** The token of an address, if the book knows it. */
export const findToken = ({ book }: GuardContext, address: Address): Token | null =>
  book.tokens.find((token) => isAddressEqual(token.address, address)) ?? null

/** A name for a record: the symbol, or the address of what the book does not know. */
export const tokenName = (context: GuardContext, address: Address): string =>
  findToken(context, address)?.symbol ?? address

/**
 * US dollars per whole token: Aave's price where the token is one of its reserves, else the feed's. Null when
 * there is none, or when it is zero. How far the two may differ is for the guard `oracleDeviation`.
 */
function priceOf({ snapshot }: GuardContext, asset: Address): Usd | null {
  const reserve = snapshot.reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
  const reading = snapshot.oracles.find((candidate) => isAddressEqual(candidate.asset, asset))
  const price = reserve?.price ?? reading?.price ?? 0n
  return price > 0n ? usd(price) : null
}

/** What an amount of a token is worth, 8 decimals; null without a price or when the token is unknown. */
export function worthOf(
  context: GuardContext,
  asset: Address,
  amount: bigint,
  rounding: Rounding,
): Usd | null {
  const known = findToken(context, asset)
  const price = priceOf(context, asset)
  return known === null || price === null
    ? null
    : usdValue(tokenAmount(amount), price, known.decimals, rounding)
}

/** What an amount of gas costs in dollars, rounded up; null without a price of the native coin. */
export function gasCost(context: GuardContext, cost: Wei): Usd | null {
  const price = priceOf(context, context.book.wrappedNative)
  return price === null ? null : usdValue(cost as bigint as TokenAmount, price, 18, 'up')
}

/** The most that the plan's gas can cost: its limit at its fee cap, in dollars; null without a price. */
export const gasAtCap = (context: GuardContext, plan: Pick<Plan, 'gasLimit' | 'maxFeePerGas'>): Usd | null =>
  gasCost(context, (plan.gasLimit * plan.maxFeePerGas) as Wei)

/**
 * What a plan spends: the measured fall of equity at oracle prices, plus its gas at the fee cap, 8 decimals. Null
 * when there is no price of the native coin.
 */
export function spendOf(context: GuardContext, plan: SimulatedPlan): Usd | null {
  const gas = gasAtCap(context, plan)
  return gas === null ? null : usd(fallOf(plan.effects.equity) + gas)
}

function fallOf({ before, after }: SimulatedPlan['effects']['equity']): bigint {
  const fall = before - after
  if (fall > 0n) return fall
  if (fall <= 0n) return 0n
  // Neither: one of the two is no number, whatever its type says. Nothing may be taken for no loss.
  throw new InvariantError('Equity was not measured.')
}

/** An asset behind a token of the account, and whether it counts for or against it. */
type Counted = { readonly asset: Address; readonly sign: 1n | -1n }

/** The token itself, the underlying of an aToken, the debt of a debt token, the wrapper of the native coin (null). */
function counted({ book }: GuardContext, token: Address | null): Counted {
  if (token === null) return { asset: book.wrappedNative, sign: 1n }
  for (const reserve of book.aaveV3.reserves) {
    if (isAddressEqual(token, reserve.aToken)) return { asset: reserve.asset, sign: 1n }
    if (isAddressEqual(token, reserve.variableDebtToken)) return { asset: reserve.asset, sign: -1n }
  }
  return { asset: token, sign: 1n }
}

/** The balances of the account itself that changed. */
export const ownChanges = ({ account }: GuardContext, plan: SimulatedPlan): readonly BalanceDelta[] =>
  plan.effects.balances.filter(
    (delta) => isAddressEqual(delta.account, account) && delta.after !== delta.before,
  )

/** How much of a token an account gained (negative: lost), by the simulation; null when it was not measured. */
export function changeOf(plan: SimulatedPlan, account: Address, token: Address): bigint | null {
  const delta = plan.effects.balances.find(
    (entry) =>
      entry.token !== null && isAddressEqual(entry.token, token) && isAddressEqual(entry.account, account),
  )
  return delta === undefined ? null : delta.after - delta.before
}

/** What the account gave and got, in dollars at oracle prices, 8 decimals. */
export type Exchange = { readonly given: Usd; readonly got: Usd }

/**
 * Values what went out of the account and what came in. A debt that was repaid came in. What was given is rounded
 * up and what was got down. What comes in without a price counts nothing.
 *
 * @returns the token without a price when one went out
 */
export function exchangeOf(
  context: GuardContext,
  plan: SimulatedPlan,
): Exchange | { readonly unpriced: Address } {
  let given = 0n
  let got = 0n
  for (const { token, before, after } of ownChanges(context, plan)) {
    const { asset, sign } = counted(context, token)
    const gain = (after - before) * sign
    if (gain < 0n) {
      const worth = worthOf(context, asset, -gain, 'up')
      if (worth === null) return { unpriced: asset }
      given += worth
    } else got += worthOf(context, asset, gain, 'down') ?? 0n
  }
  return { given: usd(given), got: usd(got) }
}

/** Tokens that an intent names, without repetition. */
export function tokensOf(intent: Action): readonly Address[] {
  switch (intent.kind) {
    case 'deleverage':
    case 'liquidate':
      return [intent.collateral, intent.debt]
    case 'swap':
      return [intent.tokenIn, intent.tokenOut]
    // Of the token nothing moves, and its price does not matter.
    case 'revoke':
      return []
    default:
      return [intent.asset]
  }
}

/** Everything whose price a judgement of the intent rests on: its tokens, the account's position, and gas. */
export function assetsOf(context: GuardContext, intent: Action): readonly Address[] {
  const position = findPosition(context.snapshot, context.account)
  const held = (position?.reserves ?? [])
    .filter((reserve) => reserve.scaledATokenBalance > 0n || reserve.scaledVariableDebt > 0n)
    .map((reserve) => reserve.asset)
  const all = [...tokensOf(intent), ...held, context.book.wrappedNative]
  return all.filter((asset, index) => all.findIndex((other) => isAddressEqual(other, asset)) === index)
}
