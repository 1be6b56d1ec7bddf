import type { Address } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { PoolState, PositionState, ReserveState, Snapshot } from '../core/snapshot.ts'
import { bps, RAY, ray, tokenAmount, usd, wei } from '../core/units.ts'
import { accountData } from './aave-v3/healthFactor.ts'
import { getSqrtRatioAtTick } from './uniswap-v3/tickMath.ts'

// For tests only: one lending position, one pool, round numbers, and no chain.

const address = (n: number): Address => `0x${n.toString(16).padStart(40, '0')}`

export const WETH = address(0x11)
export const USDC = address(0x12)
export const OWNER = address(0xaa)
export const POOL = address(0x51)

export const sampleBook: AddressBook = {
  chainId: 31_337,
  multicall3: address(0x01),
  tokens: [
    { address: WETH, symbol: 'WETH', decimals: 18 },
    { address: USDC, symbol: 'USDC', decimals: 6 },
  ],
  wrappedNative: WETH,
  aaveV3: {
    poolAddressesProvider: address(0x21),
    pool: address(0x22),
    oracle: address(0x23),
    dataProvider: address(0x24),
    reserves: [
      { asset: WETH, aToken: address(0x31), variableDebtToken: address(0x32) },
      { asset: USDC, aToken: address(0x33), variableDebtToken: address(0x34) },
    ],
  },
  uniswapV3: {
    factory: address(0x41),
    swapRouter: address(0x42),
    quoter: address(0x43),
    pools: [{ address: POOL, token0: WETH, token1: USDC, fee: 500 }],
  },
  chainlink: [
    { asset: WETH, feed: address(0x61), heartbeat: 3_600 },
    { asset: USDC, feed: address(0x62), heartbeat: 86_400 },
  ],
  rialto: { batchAccount: address(0x71), flashRepay: address(0x72), assert: address(0x73) },
}

const NOW = 1_700_000_000n

export const sampleReserve = (
  fields: Pick<ReserveState, 'asset' | 'symbol' | 'decimals' | 'aToken' | 'variableDebtToken' | 'price'>,
): ReserveState => ({
  ltv: bps(8_000n),
  liquidationThreshold: bps(8_250n),
  liquidationBonus: bps(10_500n),
  liquidationProtocolFee: bps(1_000n),
  isActive: true,
  isFrozen: false,
  isPaused: false,
  borrowingEnabled: true,
  liquidityIndex: RAY,
  variableBorrowIndex: RAY,
  liquidityRate: ray(RAY / 50n),
  variableBorrowRate: ray(RAY / 25n),
  lastUpdateTimestamp: NOW,
  availableLiquidity: tokenAmount(10n ** 24n),
  ...fields,
})

/**
 * @param debt whole USDC against 10 WETH at 2,000 dollars each
 * @param liquidity of the pool over its whole range; 10^18 is deep, 10^14 thin
 */
export function sampleSnapshot(debt: bigint, liquidity: bigint): Snapshot {
  const [wethReserve, usdcReserve] = sampleBook.aaveV3.reserves
  if (wethReserve === undefined || usdcReserve === undefined)
    throw new TypeError('the sample has two reserves')
  const reserves = [
    sampleReserve({ ...wethReserve, symbol: 'WETH', decimals: 18, price: usd(2_000n * 10n ** 8n) }),
    sampleReserve({ ...usdcReserve, symbol: 'USDC', decimals: 6, price: usd(10n ** 8n) }),
  ]
  const position: Omit<PositionState, 'account'> = {
    user: OWNER,
    eMode: 0,
    reserves: [
      { asset: WETH, scaledATokenBalance: 10n ** 19n, scaledVariableDebt: 0n, usedAsCollateral: true },
      { asset: USDC, scaledATokenBalance: 0n, scaledVariableDebt: debt * 10n ** 6n, usedAsCollateral: false },
    ],
  }
  // 2,000 * 10^6 / 10^18 USDC units per WETH unit is 1.0001^-200311.
  const tick = -200_311
  const pool: PoolState = {
    address: POOL,
    token0: WETH,
    token1: USDC,
    fee: 500,
    tickSpacing: 10,
    sqrtPriceX96: getSqrtRatioAtTick(tick),
    tick,
    liquidity,
    ticks: [
      { tick: -887_270, liquidityNet: liquidity },
      { tick: 887_270, liquidityNet: -liquidity },
    ],
    // Whole words of the bitmap, as they are read.
    tickRange: [-888_320, 888_310],
  }
  return {
    chainId: sampleBook.chainId,
    block: { number: 100n, hash: '0x01', parentHash: '0x02', timestamp: NOW, baseFeePerGas: wei(10n ** 9n) },
    wallet: {
      account: OWNER,
      native: wei(10n ** 18n),
      tokens: [
        { token: WETH, balance: tokenAmount(0n) },
        { token: USDC, balance: tokenAmount(500_000_000n) },
      ],
      delegation: null,
    },
    reserves,
    oracles: [],
    positions: [{ ...position, account: accountData(position, reserves, NOW) }],
    pools: [pool],
  }
}
