import type { Address, Hex } from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import type { AccountData, PositionState, ReserveState } from '../../../runtime/core/snapshot.ts'
import { bps, RAY, ray, tokenAmount, usd } from '../../../runtime/core/units.ts'
import { accountData } from '../../../runtime/protocols/aave-v3/healthFactor.ts'
import { getSqrtRatioAtTick } from '../../../runtime/protocols/uniswap-v3/tickMath.ts'

/** A price feed's answer, US dollars with 8 decimals. */
export type FeedRound = { readonly answer: bigint; readonly updatedAt: bigint }

/**
 * The state of a small world of contracts after a block. Keys are lower-case addresses, joined by "/". Interest does
 * not accrue, so scaled balances are balances, and the pool stands where the oracle does.
 */
export type MarketState = {
  readonly native: Map<string, bigint>
  readonly nonces: Map<string, bigint>
  /** Delegations by EIP-7702, and whatever else was put there. */
  readonly code: Map<string, Hex>
  /** `token/holder`, aTokens and debt tokens among them. */
  readonly balances: Map<string, bigint>
  /** `token/owner/spender` */
  readonly allowances: Map<string, bigint>
  /** By asset, oldest first. */
  readonly feeds: Map<string, readonly FeedRound[]>
}

export const emptyMarket = (): MarketState => ({
  native: new Map(),
  nonces: new Map(),
  code: new Map(),
  balances: new Map(),
  allowances: new Map(),
  feeds: new Map(),
})

/** A copy that can be changed without changing the original: every value in it is immutable. */
export const copyMarket = (state: MarketState): MarketState => ({
  native: new Map(state.native),
  nonces: new Map(state.nonces),
  code: new Map(state.code),
  balances: new Map(state.balances),
  allowances: new Map(state.allowances),
  feeds: new Map(state.feeds),
})

/** Puts a state back to what a copy of it holds. */
export function restoreMarket(state: MarketState, saved: MarketState): void {
  for (const key of ['native', 'nonces', 'code', 'balances', 'allowances', 'feeds'] as const) {
    const map = state[key] as Map<string, unknown>
    map.clear()
    for (const [name, value] of saved[key]) map.set(name, value)
  }
}

export const keyOf = (...addresses: readonly string[]): string => addresses.join('/').toLowerCase()

export const balanceIn = (state: MarketState, token: Address, holder: Address): bigint =>
  state.balances.get(keyOf(token, holder)) ?? 0n
export const allowanceIn = (state: MarketState, token: Address, owner: Address, spender: Address): bigint =>
  state.allowances.get(keyOf(token, owner, spender)) ?? 0n
export const nativeIn = (state: MarketState, account: Address): bigint =>
  state.native.get(account.toLowerCase()) ?? 0n
export const nonceIn = (state: MarketState, account: Address): bigint =>
  state.nonces.get(account.toLowerCase()) ?? 0n
export const codeIn = (state: MarketState, account: Address): Hex =>
  state.code.get(account.toLowerCase()) ?? '0x'
export const priceIn = (state: MarketState, asset: Address): bigint =>
  state.feeds.get(asset.toLowerCase())?.at(-1)?.answer ?? 0n

export function addBalance(state: MarketState, token: Address, holder: Address, change: bigint): void {
  state.balances.set(keyOf(token, holder), balanceIn(state, token, holder) + change)
}
export function addNative(state: MarketState, account: Address, change: bigint): void {
  state.native.set(account.toLowerCase(), nativeIn(state, account) + change)
}

/** Loan to value 80 %, threshold 82.5 %, bonus 5 %: what Aave has for WETH. */
export const RESERVE = { ltv: 8_000n, threshold: 8_250n, bonus: 10_500n } as const

/** The book's reserves as the contracts would store them. */
export function reservesIn(state: MarketState, book: AddressBook): readonly ReserveState[] {
  return book.aaveV3.reserves.map(({ asset, aToken, variableDebtToken }) => {
    const token = book.tokens.find(({ address }) => keyOf(address) === keyOf(asset))
    return {
      asset,
      aToken,
      variableDebtToken,
      symbol: token?.symbol ?? '',
      decimals: token?.decimals ?? 18,
      ltv: bps(RESERVE.ltv),
      liquidationThreshold: bps(RESERVE.threshold),
      liquidationBonus: bps(RESERVE.bonus),
      liquidationProtocolFee: bps(0n),
      isActive: true,
      isFrozen: false,
      isPaused: false,
      borrowingEnabled: true,
      liquidityIndex: RAY,
      variableBorrowIndex: RAY,
      liquidityRate: ray(0n),
      variableBorrowRate: ray(0n),
      lastUpdateTimestamp: 0n,
      availableLiquidity: tokenAmount(balanceIn(state, asset, aToken)),
      price: usd(priceIn(state, asset)),
    }
  })
}

/** What the lending pool says about a user. */
export function accountIn(state: MarketState, book: AddressBook, user: Address): AccountData {
  const position: Omit<PositionState, 'account'> = {
    user,
    eMode: 0,
    reserves: book.aaveV3.reserves.map(({ asset, aToken, variableDebtToken }) => ({
      asset,
      scaledATokenBalance: balanceIn(state, aToken, user),
      scaledVariableDebt: balanceIn(state, variableDebtToken, user),
      usedAsCollateral: balanceIn(state, aToken, user) > 0n,
    })),
  }
  return accountData(position, reservesIn(state, book), 0n)
}

/** A pool's price: the tick nearest below the oracles' ratio. */
export type PoolPrice = { readonly tick: number; readonly sqrtPriceX96: bigint }

export const POOL_TICK_SPACING = 10
/** Deep enough that a rescue does not move it. */
export const POOL_LIQUIDITY = 10n ** 22n

const prices = new Map<string, PoolPrice>()

/** Where arbitrage has left a pool: at the ratio of the two feeds. */
export function poolPriceIn(
  state: MarketState,
  book: AddressBook,
  pool: { readonly token0: Address; readonly token1: Address },
): PoolPrice {
  const unit = (asset: Address) => {
    const decimals = book.tokens.find(({ address }) => keyOf(address) === keyOf(asset))?.decimals ?? 18
    return { price: priceIn(state, asset), decimals }
  }
  const [zero, one] = [unit(pool.token0), unit(pool.token1)]
  const key = `${zero.price}/${zero.decimals}/${one.price}/${one.decimals}`
  const known = prices.get(key)
  if (known !== undefined) return known
  const ratio = (Number(zero.price) / Number(one.price)) * 10 ** (one.decimals - zero.decimals)
  const tick = Math.floor(Math.log(ratio) / Math.log(1.0001))
  const price = { tick, sqrtPriceX96: getSqrtRatioAtTick(tick) }
  prices.set(key, price)
  return price
}
