import type { Address } from 'viem'
import type { PoolKey } from './addressBook.ts'
import { type Canonical, canonicalHash } from './canonical.ts'
import type { Hash } from './ids.ts'
import type { Bps, Ray, TokenAmount, Usd, Wad, Wei } from './units.ts'

/** A block, by hash. `timestamp` in seconds, `baseFeePerGas` in wei. */
export type BlockRef = {
  readonly number: bigint
  readonly hash: Hash
  readonly parentHash: Hash
  readonly timestamp: bigint
  readonly baseFeePerGas: Wei
}

/** An Aave v3 reserve as stored on-chain at the snapshot's block (indices are not yet accrued to it). */
export type ReserveState = {
  readonly asset: Address
  readonly symbol: string
  readonly decimals: number
  readonly aToken: Address
  readonly variableDebtToken: Address
  readonly ltv: Bps
  readonly liquidationThreshold: Bps
  /** 10,500 is a bonus of 5 %. */
  readonly liquidationBonus: Bps
  readonly liquidationProtocolFee: Bps
  readonly isActive: boolean
  readonly isFrozen: boolean
  readonly isPaused: boolean
  readonly borrowingEnabled: boolean
  readonly liquidityIndex: Ray
  readonly variableBorrowIndex: Ray
  /** Yearly, 27 decimals. */
  readonly liquidityRate: Ray
  readonly variableBorrowRate: Ray
  /** Seconds. */
  readonly lastUpdateTimestamp: bigint
  /** Underlying that the aToken holds: what can be borrowed or withdrawn at most. */
  readonly availableLiquidity: TokenAmount
  /** Price by Aave's oracle, US dollars per whole token. */
  readonly price: Usd
}

/** What a Chainlink feed said at the snapshot's block, and whether it can be trusted. */
export type OracleReading = {
  readonly asset: Address
  readonly feed: Address
  readonly price: Usd
  /** Seconds. */
  readonly updatedAt: bigint
  readonly roundId: bigint
  /**
   * Answers of the feed's latest rounds up to this one, oldest first, as far as they were read: what an agent
   * estimates volatility from. It comes from the chain and not from a memory, so that a run depends on nothing
   * but its block, on whichever worker it runs.
   */
  readonly recent?: readonly { readonly price: Usd; readonly updatedAt: bigint }[]
  /** Older than the feed's heartbeat plus a grace period. */
  readonly stale: boolean
  /** Distance to the price of the reference pool, where there is one. */
  readonly poolDeviation: Bps | null
  /** `poolDeviation` is beyond the bound that the owner set. */
  readonly deviating: boolean
}

/** A user's part in one reserve. Scaled balances are the contracts' own: multiply by the accrued index. */
export type ReservePosition = {
  readonly asset: Address
  readonly scaledATokenBalance: bigint
  readonly scaledVariableDebt: bigint
  readonly usedAsCollateral: boolean
}

/** `Pool.getUserAccountData`. The health factor is 2^256 - 1 without debt. */
export type AccountData = {
  readonly totalCollateral: Usd
  readonly totalDebt: Usd
  readonly availableBorrows: Usd
  readonly liquidationThreshold: Bps
  readonly ltv: Bps
  readonly healthFactor: Wad
}

export type PositionState = {
  readonly user: Address
  readonly eMode: number
  readonly reserves: readonly ReservePosition[]
  readonly account: AccountData
}

/** A Uniswap v3 pool with the initialised ticks around its price. */
export type PoolState = PoolKey & {
  readonly tickSpacing: number
  readonly sqrtPriceX96: bigint
  readonly tick: number
  readonly liquidity: bigint
  /** Ascending. */
  readonly ticks: readonly { readonly tick: number; readonly liquidityNet: bigint }[]
  /** The window that was read: a quote that leaves it is refused rather than guessed. */
  readonly tickRange: readonly [lower: number, upper: number]
}

export type WalletState = {
  readonly account: Address
  readonly native: Wei
  readonly tokens: readonly { readonly token: Address; readonly balance: TokenAmount }[]
  /** The contract that the account delegates to by EIP-7702, if any. */
  readonly delegation: Address | null
}

/** All that one run may know of the world: every value was read at `block.hash`. */
export type Snapshot = {
  readonly chainId: number
  readonly block: BlockRef
  readonly wallet: WalletState
  readonly reserves: readonly ReserveState[]
  readonly oracles: readonly OracleReading[]
  readonly positions: readonly PositionState[]
  readonly pools: readonly PoolState[]
}

/** What an agent asks to see. */
export type WatchList = {
  /** Users whose Aave positions are read. */
  readonly positions: readonly Address[]
  /** Assets whose reserve, oracle and wallet balance are read. */
  readonly assets: readonly Address[]
  /** Uniswap pools, by address. */
  readonly pools: readonly Address[]
}

/** Keccak-256 over the canonical JSON of a snapshot: the same reads give the same hash on every machine. */
export const snapshotHash = (snapshot: Snapshot): Hash => canonicalHash(snapshot as unknown as Canonical)

/** The position of a user in a snapshot, if it was watched. */
export const findPosition = (snapshot: Snapshot, user: Address): PositionState | undefined =>
  snapshot.positions.find((position) => position.user.toLowerCase() === user.toLowerCase())
