import { type Address, getAddress, zeroAddress } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Hash } from '../core/ids.ts'
import { type Action, type IntentOf, parseIntent } from '../core/intent.ts'
import type { AccountData, OracleReading, ReserveState, Snapshot } from '../core/snapshot.ts'
import {
  bps,
  MAX_UINT256,
  parseDecimal,
  ray,
  tokenAmount,
  type Usd,
  usd,
  type Wad,
  type Wei,
  wad,
  wei,
} from '../core/units.ts'
import type { GuardContext } from './guard.ts'
import { type Policy, type PolicyFile, parsePolicy } from './policy.ts'

/** For tests: a position of 40 WETH against 51,000 USDC at 1,800 dollars, its owner, and what may be wanted of it. */

/** An address that is told apart by its last byte. */
export const at = (n: number): Address => getAddress(`0x${n.toString(16).padStart(40, '0')}`)
export const owner = at(0xa1)
export const stranger = at(0xbad)
export const [weth, usdc] = [at(0x11), at(0x12)]
export const [aWeth, debtUsdc] = [at(0x21), at(0x24)]
export const pool = at(0x31)

export const dollars = (text: string): Usd => usd(parseDecimal(text, 8))
export const factor = (text: string): Wad => wad(parseDecimal(text, 18))
export const ether = (text: string): bigint => parseDecimal(text, 18)
export const usdcs = (text: string): bigint => parseDecimal(text, 6)
export const gweis = (text: string): Wei => wei(parseDecimal(text, 9))

export const book: AddressBook = {
  chainId: 31_337,
  multicall3: at(1),
  tokens: [
    { address: weth, symbol: 'WETH', decimals: 18 },
    { address: usdc, symbol: 'USDC', decimals: 6 },
  ],
  wrappedNative: weth,
  aaveV3: {
    poolAddressesProvider: at(2),
    pool: at(3),
    oracle: at(4),
    dataProvider: at(5),
    reserves: [
      { asset: weth, aToken: aWeth, variableDebtToken: at(0x22) },
      { asset: usdc, aToken: at(0x23), variableDebtToken: debtUsdc },
    ],
  },
  uniswapV3: {
    factory: at(6),
    swapRouter: at(7),
    quoter: at(8),
    pools: [{ address: pool, token0: weth, token1: usdc, fee: 500 }],
  },
  chainlink: [
    { asset: weth, feed: at(0x41), heartbeat: 3_600 },
    { asset: usdc, feed: at(0x42), heartbeat: 86_400 },
  ],
  rialto: { batchAccount: at(0x51), flashRepay: at(0x52), assert: at(0x53) },
}

/** A policy file with round limits that allows everything. */
export const policyFile = {
  name: 'test',
  mode: 'execute',
  intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer', 'liquidate', 'revoke'],
  contracts: {
    'erc20:WETH': ['approve', 'transfer'],
    'erc20:USDC': ['approve', 'transfer'],
    'aave-v3.aToken:WETH': ['approve'],
    'aave-v3.pool': ['supply', 'withdraw', 'borrow', 'repay', 'liquidationCall'],
    'uniswap-v3.router': ['exactInputSingle'],
    'rialto.flashRepay': ['flashRepay'],
    'rialto.assert': ['minHealthFactor', 'minBalance', 'maxBalance', 'zeroAllowance', 'notAfter'],
  },
  recipients: [at(0xf1)],
  spend: { perTransactionUsd: '200', rollingUsd: '1000', windowSeconds: 86_400 },
  slippage: { oracleBps: 50, poolBps: 50 },
  oracle: { maxAgeSeconds: 600, maxDeviationBps: 100, withoutReferencePool: [] },
  healthFactor: { floor: '1.05', trigger: '1.15', minAfter: '1.2', target: '1.35' },
  gas: { maxFeeGwei: '100', maxCostUsd: '150' },
  cooldownSeconds: 300,
  drawdownStopBps: 2_000,
  lastValidBlocks: 3,
  intentExpiryBlocks: 10,
  confirmations: 1,
  replacement: { afterBlocks: 2, bumpBps: 1_250 },
  submission: { route: 'public', publicAfterBlocks: 'never' },
  allowances: { WETH: '1000', USDC: '1000000', native: '100' },
  protector: 'none',
  maxDeviationBps: 100,
  approvals: { personAboveUsd: 'none', owners: [], threshold: 1, expirySeconds: 3_600 },
  graduation: 'none',
  riskReducing: {
    spend: { perTransactionUsd: '2000', rollingUsd: '5000' },
    slippage: { oracleBps: 300, poolBps: 300 },
    oracle: { maxAgeSeconds: 1_200, maxDeviationBps: 500 },
    gas: { maxFeeGwei: '400', penaltyPartBps: 5_000 },
  },
} satisfies PolicyFile

export const policy: Policy = parsePolicy(policyFile)

const NOW = 1_700_000_000n
export const BLOCK = 1_000n
const hash = (n: number): Hash => `0x${n.toString(16).padStart(64, '0')}`

const reserve = (asset: Address, symbol: string, decimals: number, price: string): ReserveState => {
  const tokens = book.aaveV3.reserves.find((entry) => entry.asset === asset)
  return {
    asset,
    symbol,
    decimals,
    aToken: tokens?.aToken ?? zeroAddress,
    variableDebtToken: tokens?.variableDebtToken ?? zeroAddress,
    ltv: bps(8_000n),
    liquidationThreshold: bps(8_250n),
    liquidationBonus: bps(10_500n),
    liquidationProtocolFee: bps(1_000n),
    isActive: true,
    isFrozen: false,
    isPaused: false,
    borrowingEnabled: true,
    liquidityIndex: ray(10n ** 27n),
    variableBorrowIndex: ray(10n ** 27n),
    liquidityRate: ray(0n),
    variableBorrowRate: ray(0n),
    lastUpdateTimestamp: NOW,
    availableLiquidity: tokenAmount(10n ** 30n),
    price: dollars(price),
  }
}

export const reading = (
  asset: Address,
  price: string,
  changes: Partial<OracleReading> = {},
): OracleReading => ({
  asset,
  feed: book.chainlink.find((feed) => feed.asset === asset)?.feed ?? zeroAddress,
  price: dollars(price),
  updatedAt: NOW - 60n,
  roundId: 1n,
  stale: false,
  poolDeviation: bps(10n),
  deviating: false,
  ...changes,
})

export const accountData = (collateral: string, debt: string): AccountData => {
  const [totalCollateral, totalDebt] = [dollars(collateral), dollars(debt)]
  return {
    totalCollateral,
    totalDebt,
    availableBorrows: usd(0n),
    liquidationThreshold: bps(8_250n),
    ltv: bps(8_000n),
    healthFactor: wad(
      totalDebt === 0n ? MAX_UINT256 : (totalCollateral * 8_250n * 10n ** 18n) / (totalDebt * 10_000n),
    ),
  }
}

/** 1,800 dollars per WETH: token1 is USDC, so the root of 1.8e9 / 1e18. */
const SQRT_PRICE = BigInt(Math.round(Math.sqrt(1_800e6 / 1e18) * 2 ** 48)) * 2n ** 48n

export const snapshot: Snapshot = {
  chainId: book.chainId,
  block: { number: BLOCK, hash: hash(2), parentHash: hash(1), timestamp: NOW, baseFeePerGas: gweis('20') },
  wallet: {
    account: owner,
    native: wei(ether('5')),
    tokens: [
      { token: weth, balance: tokenAmount(ether('10')) },
      { token: usdc, balance: tokenAmount(usdcs('20000')) },
    ],
    delegation: null,
  },
  reserves: [reserve(weth, 'WETH', 18, '1800'), reserve(usdc, 'USDC', 6, '1')],
  oracles: [reading(weth, '1800'), reading(usdc, '1')],
  positions: [
    {
      user: owner,
      eMode: 0,
      reserves: [
        { asset: weth, scaledATokenBalance: ether('40'), scaledVariableDebt: 0n, usedAsCollateral: true },
        { asset: usdc, scaledATokenBalance: 0n, scaledVariableDebt: usdcs('51000'), usedAsCollateral: false },
      ],
      account: accountData('72000', '51000'),
    },
  ],
  pools: [
    {
      ...{ address: pool, token0: weth, token1: usdc, fee: 500 },
      tickSpacing: 10,
      sqrtPriceX96: SQRT_PRICE,
      tick: 0,
      liquidity: 10n ** 20n,
      ticks: [],
      tickRange: [-1, 1],
    },
  ],
}

const history: GuardContext['history'] = {
  spent: usd(0n),
  inFlight: 0,
  inert: 0,
  lastActionAt: null,
  peakEquity: null,
}

export const context: GuardContext = {
  policy,
  book,
  snapshot,
  history,
  tradingState: 'active',
  account: owner,
}

/** The context under another policy, changed in its file. */
export const under = (change: (file: typeof policyFile) => unknown, base = context): GuardContext => {
  const file = structuredClone(policyFile)
  change(file)
  return { ...base, policy: parsePolicy(file) }
}

/** The context with another snapshot. */
export const seeing = (changes: Partial<Snapshot>, base = context): GuardContext => ({
  ...base,
  snapshot: { ...base.snapshot, ...changes },
})

/** The context with another past. */
export const withPast = (changes: Partial<GuardContext['history']>, base = context): GuardContext => ({
  ...base,
  history: { ...base.history, ...changes },
})

const expiresAtBlock = String(BLOCK + 5n)
export const intents = {
  supply: parseIntent({ kind: 'supply', asset: weth, amount: ether('4'), expiresAtBlock }),
  withdraw: parseIntent({ kind: 'withdraw', asset: weth, amount: ether('1'), expiresAtBlock }),
  borrow: parseIntent({ kind: 'borrow', asset: usdc, amount: usdcs('500'), expiresAtBlock }),
  repay: parseIntent({
    kind: 'repay',
    asset: usdc,
    amount: usdcs('10000'),
    minHealthFactor: factor('1.4'),
    expiresAtBlock,
  }),
  deleverage: parseIntent({
    kind: 'deleverage',
    collateral: weth,
    debt: usdc,
    pool,
    repayAmount: usdcs('17820'),
    maxCollateralIn: ether('10.05'),
    minHealthFactor: factor('1.3'),
    expiresAtBlock,
  }),
  swap: parseIntent({
    kind: 'swap',
    tokenIn: weth,
    tokenOut: usdc,
    pool,
    amountIn: ether('1'),
    minAmountOut: usdcs('1795'),
    expiresAtBlock,
  }),
  transfer: parseIntent({
    kind: 'transfer',
    asset: usdc,
    to: at(0xf1),
    amount: usdcs('50'),
    expiresAtBlock,
  }),
  revoke: parseIntent({ kind: 'revoke', asset: usdc, spender: at(0xbad), expiresAtBlock }),
  liquidate: parseIntent({
    kind: 'liquidate',
    collateral: weth,
    debt: usdc,
    user: at(0xb0),
    debtToCover: usdcs('18000'),
    minCollateralOut: ether('10'),
    expiresAtBlock,
  }),
} as { readonly [Kind in Action['kind']]: IntentOf<Kind> }
