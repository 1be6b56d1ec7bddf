import { type Address, isAddressEqual, zeroAddress } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import { RialtoError } from '../core/errors.ts'
import type { BalanceDelta, Effects, Outcome, Plan } from '../core/lifecycle.ts'
import { findPosition, type Snapshot } from '../core/snapshot.ts'
import {
  MAX_UINT256,
  mulDiv,
  type TokenAmount,
  type Usd,
  usd,
  usdValue,
  type Wad,
  type Wei,
  wad,
  wei,
} from '../core/units.ts'

/** A figure was asked for that needs a price which the snapshot does not hold. */
export class PriceMissingError extends RialtoError {
  override readonly name = 'PriceMissingError'
  constructor(asset: Address) {
    super('PRICE_MISSING', `There is no oracle price for ${asset} in the snapshot.`, {
      fix: "Add the asset to the agent's watch list.",
      details: { asset },
    })
  }
}

/** What one unit of value of a token is: its price and sign. A debt token counts against its owner. */
type Valuation = { readonly price: Usd; readonly decimals: number; readonly sign: 1n | -1n }

/**
 * How a token counts in an account's equity: the underlying and the aToken of a reserve for it, its variable debt
 * token against it, the native coin (null or the zero address) as its wrapper. Null when it is not known.
 */
export function valuation(snapshot: Snapshot, book: AddressBook, token: Address | null): Valuation | null {
  const asset = token === null || isAddressEqual(token, zeroAddress) ? book.wrappedNative : token
  for (const reserve of snapshot.reserves) {
    const counted = { price: reserve.price, decimals: reserve.decimals }
    if (isAddressEqual(asset, reserve.asset) || isAddressEqual(asset, reserve.aToken))
      return { ...counted, sign: 1n }
    if (isAddressEqual(asset, reserve.variableDebtToken)) return { ...counted, sign: -1n }
  }
  return null
}

/**
 * US dollars per whole native coin.
 *
 * @throws {PriceMissingError} when the wrapped native coin is not among the snapshot's reserves.
 */
export function nativePrice(snapshot: Snapshot, book: AddressBook): Usd {
  const found = valuation(snapshot, book, null)
  if (found === null) throw new PriceMissingError(book.wrappedNative)
  return found.price
}

/** What an amount of gas costs in dollars, rounded up. */
export const gasValue = (cost: Wei, snapshot: Snapshot, book: AddressBook): Usd =>
  usdValue(cost as bigint as TokenAmount, nativePrice(snapshot, book), 18, 'up')

/**
 * Equity of the agent's account at oracle prices: wallet and collateral less debt, 8 decimals, not below zero.
 *
 * @throws {PriceMissingError} when the wallet holds a watched token without a price.
 */
export function accountEquity(snapshot: Snapshot, book: AddressBook, account: Address): Usd {
  const wallet = snapshot.wallet.tokens.reduce((total, { token, balance }) => {
    const found = valuation(snapshot, book, token)
    if (found === null) throw new PriceMissingError(token)
    return total + usdValue(balance, found.price, found.decimals, 'down')
  }, 0n)
  const native = usdValue(
    snapshot.wallet.native as bigint as TokenAmount,
    nativePrice(snapshot, book),
    18,
    'down',
  )
  const position = findPosition(snapshot, account)?.account
  const lending = position === undefined ? 0n : position.totalCollateral - position.totalDebt
  const total = wallet + native + lending
  return usd(total > 0n ? total : 0n)
}

/** The health factor of the account's position; 2^256 - 1 without one. */
export const healthFactorOf = (snapshot: Snapshot, account: Address): Wad =>
  findPosition(snapshot, account)?.account.healthFactor ?? wad(MAX_UINT256)

/**
 * The dollar value of balance changes at the snapshot's oracle prices, signed: what the account gained.
 * Debt tokens count against it. Tokens that nobody can value count nothing when they come in and make the
 * whole figure unknown (null) when they go out.
 */
export function changeValue(
  changes: Outcome['balanceChanges'],
  snapshot: Snapshot,
  book: AddressBook,
): bigint | null {
  let total = 0n
  for (const { token, change } of changes) {
    const found = valuation(snapshot, book, token)
    if (found === null) {
      if (change < 0n) return null
      continue
    }
    const size = change < 0n ? -change : change
    const signed = (change < 0n ? -1n : 1n) * found.sign
    // Losses round up and gains down, so that the figure never flatters.
    total += signed * mulDiv(size, found.price, 10n ** BigInt(found.decimals), signed < 0n ? 'up' : 'down')
  }
  return total
}

const own = (deltas: readonly BalanceDelta[], account: Address): Outcome['balanceChanges'] =>
  deltas
    .filter((delta) => isAddressEqual(delta.account, account) && delta.after !== delta.before)
    .map((delta) => ({ token: delta.token ?? zeroAddress, change: delta.after - delta.before }))

/** What a simulated plan promises: measured effects, with gas at the price expected in the next block. */
export function promisedOutcome(plan: Plan, effects: Effects, gasPrice: Wei): Outcome {
  return {
    healthFactor: effects.position.after.healthFactor,
    totalCollateral: effects.position.after.totalCollateral,
    totalDebt: effects.position.after.totalDebt,
    equity: usd(effects.equity.after > 0n ? effects.equity.after : 0n),
    gasUsed: effects.gasUsed,
    gasCost: wei(effects.gasUsed * gasPrice),
    balanceChanges: own(effects.balances, plan.account),
  }
}

/**
 * The most that a plan may cost, in dollars: the measured fall of equity plus the gas limit at the fee cap.
 * This is what is held back from the spend caps until the outcome is known.
 */
export function reservedSpend(plan: Plan, effects: Effects, snapshot: Snapshot, book: AddressBook): Usd {
  const fall = effects.equity.before - effects.equity.after
  return usd((fall > 0n ? fall : 0n) + gasValue(wei(plan.gasLimit * plan.maxFeePerGas), snapshot, book))
}
