/** For tests: snapshots of one WETH-collateralised USDC debt and one WETH/USDC pool. */
import { type Address, getAddress, keccak256, stringToHex } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'
import type { OracleReading, PoolState, ReserveState, Snapshot } from '../../runtime/core/snapshot.ts'
import { bps, RAY, ray, tokenAmount, type Usd, usd, wad, wei } from '../../runtime/core/units.ts'
import { accountData } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { getSqrtRatioAtTick, getTickAtSqrtRatio } from '../../runtime/protocols/uniswap-v3/tickMath.ts'
import type { Thresholds } from './options.ts'

/** An address that a name stands for. */
export const addressOf = (name: string): Address => getAddress(`0x${keccak256(stringToHex(name)).slice(-40)}`)
/** A hash that a name stands for. */
export const hashOf = (name: string): Hash => keccak256(stringToHex(name))

export const account = addressOf('guarded account')
const [usdc, weth] = [addressOf('usdc'), addressOf('weth')].sort() as [Address, Address]
export const assets = { weth, usdc }
export const pool = addressOf('pool')

export const thresholds: Thresholds = {
  floor: wad(1_080_000_000_000_000_000n),
  trigger: wad(1_150_000_000_000_000_000n),
  target: wad(1_300_000_000_000_000_000n),
}

export type SnapshotOptions = {
  /** Dollars of a WETH by the oracle, 8 decimals. */
  readonly price?: Usd
  /** Dollars of a WETH in the pool, 8 decimals. The oracle's unless given. */
  readonly poolPrice?: Usd
  /** WETH supplied, 18 decimals. */
  readonly supplied?: bigint
  /** USDC owed, 6 decimals. */
  readonly owed?: bigint
  /** In the wallet. */
  readonly wallet?: { readonly weth?: bigint; readonly usdc?: bigint }
  /** Of the pool, in its own unit. */
  readonly liquidity?: bigint
  readonly block?: bigint
  /** Latest answers of the WETH feed, one a block, oldest first, this block's included; 8 decimals. */
  readonly answers?: readonly bigint[]
  readonly oracle?: Partial<OracleReading>
}

/** When every snapshot of a test is taken, in seconds. */
export const TIMESTAMP = 1_800_000_000n

/** @example snapshotOf({ price: usd(1_600n * 10n ** 8n) }) // 10 WETH against 12,000 USDC: health factor 1.1 */
export function snapshotOf(options: SnapshotOptions = {}): Snapshot {
  const {
    price = usd(1_600n * 10n ** 8n),
    poolPrice = price,
    supplied = 10n * 10n ** 18n,
    owed = 12_000n * 10n ** 6n,
    wallet = {},
    liquidity = 10n ** 19n,
    block = 1_000n,
  } = options
  const reserves = [
    reserve(weth, 'WETH', 18, price, 8_250n),
    reserve(usdc, 'USDC', 6, usd(10n ** 8n), 8_000n),
  ]
  const position = {
    user: account,
    eMode: 0,
    reserves: [
      { asset: weth, scaledATokenBalance: supplied, scaledVariableDebt: 0n, usedAsCollateral: true },
      { asset: usdc, scaledATokenBalance: 0n, scaledVariableDebt: owed, usedAsCollateral: false },
    ],
  }
  const recent = options.answers?.map((answer, index, { length }) => ({
    price: usd(answer),
    updatedAt: TIMESTAMP - 12n * BigInt(length - 1 - index),
  }))
  return {
    chainId: 31_337,
    block: {
      number: block,
      hash: hashOf(`block ${block}`),
      parentHash: hashOf(`block ${block - 1n}`),
      timestamp: TIMESTAMP,
      baseFeePerGas: wei(20n * 10n ** 9n),
    },
    wallet: {
      account,
      native: wei(10n ** 18n),
      tokens: [
        { token: weth, balance: tokenAmount(wallet.weth ?? 0n) },
        { token: usdc, balance: tokenAmount(wallet.usdc ?? 0n) },
      ],
      delegation: null,
    },
    reserves,
    oracles: [
      { ...reading(weth, price), ...(recent && { recent }), ...options.oracle },
      reading(usdc, usd(10n ** 8n)),
    ],
    positions: [{ ...position, account: accountData(position, reserves, TIMESTAMP) }],
    pools: [
      poolOf({ address: pool, base: weth, baseDecimals: 18, quote: usdc, price: poolPrice, liquidity }),
    ],
  }
}

/** A reserve with nothing accrued. */
export function reserve(
  asset: Address,
  symbol: string,
  decimals: number,
  price: Usd,
  liquidationThreshold: bigint,
): ReserveState {
  return {
    asset,
    symbol,
    decimals,
    aToken: addressOf(`a${symbol}`),
    variableDebtToken: addressOf(`debt ${symbol}`),
    ltv: bps(8_000n),
    liquidationThreshold: bps(liquidationThreshold),
    liquidationBonus: bps(10_500n),
    liquidationProtocolFee: bps(1_000n),
    isActive: true,
    isFrozen: false,
    isPaused: false,
    borrowingEnabled: true,
    liquidityIndex: ray(RAY),
    variableBorrowIndex: ray(RAY),
    liquidityRate: ray(0n),
    variableBorrowRate: ray(0n),
    lastUpdateTimestamp: TIMESTAMP,
    availableLiquidity: tokenAmount(10n ** 30n),
    price,
  }
}

/** A fresh answer of an asset's feed. */
export const reading = (asset: Address, price: Usd): OracleReading => ({
  asset,
  feed: addressOf(`feed ${asset}`),
  price,
  updatedAt: TIMESTAMP,
  roundId: 1n,
  stale: false,
  poolDeviation: bps(0n),
  deviating: false,
})

function squareRoot(value: bigint): bigint {
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** One range of liquidity from a tenth of the price to ten times it. Its prices are in whole dollars' worth. */
export function poolOf({
  address,
  base,
  baseDecimals,
  quote,
  price,
  liquidity,
  fee = 500,
}: {
  readonly address: Address
  readonly base: Address
  readonly baseDecimals: number
  /** A dollar token of 6 decimals. */
  readonly quote: Address
  /** Dollars of a base token, 8 decimals. */
  readonly price: Usd
  readonly liquidity: bigint
  readonly fee?: number
}): PoolState {
  const baseIsToken0 = base.toLowerCase() < quote.toLowerCase()
  const unit = 10n ** BigInt(baseDecimals + 2)
  const [numerator, denominator] = baseIsToken0 ? [price, unit] : [unit, price]
  const sqrtPriceX96 = squareRoot((numerator << 192n) / denominator)
  const tick = getTickAtSqrtRatio(sqrtPriceX96)
  const [lower, upper] = [tick - 23_000, tick + 23_000].map((at) => Math.floor(at / 10) * 10) as [
    number,
    number,
  ]
  if (sqrtPriceX96 <= getSqrtRatioAtTick(lower)) throw new RangeError('The price lies outside its range.')
  return {
    address,
    token0: baseIsToken0 ? base : quote,
    token1: baseIsToken0 ? quote : base,
    fee,
    tickSpacing: 10,
    sqrtPriceX96,
    tick,
    liquidity,
    ticks: [
      { tick: lower, liquidityNet: liquidity },
      { tick: upper, liquidityNet: -liquidity },
    ],
    tickRange: [lower, upper],
  }
}
