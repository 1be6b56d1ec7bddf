/** For tests: borrowers as a public chain shows them, and the blocks that they are seen at. */

import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { Address } from 'viem'
import type { PositionState, ReservePosition, Snapshot } from '../../runtime/core/snapshot.ts'
import { tokenAmount, type Usd, usd, wei } from '../../runtime/core/units.ts'
import { accountData } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { addressOf, hashOf, poolOf, reading, reserve, TIMESTAMP } from './testSnapshot.ts'

/** Collateral that is lent, dollars that are borrowed, by Aave's own parameters. */
const MARKETS = {
  WETH: { asset: addressOf('population WETH'), decimals: 18, threshold: 8_250n, price: 1_600 },
  WBTC: { asset: addressOf('population WBTC'), decimals: 8, threshold: 7_800n, price: 60_000 },
  USDC: { asset: addressOf('population USDC'), decimals: 6, threshold: 8_000n, price: 1 },
  USDT: { asset: addressOf('population USDT'), decimals: 6, threshold: 7_500n, price: 1 },
} as const
type Symbol = keyof typeof MARKETS
const SYMBOLS = Object.keys(MARKETS) as Symbol[]

export const populationAssets: readonly Address[] = SYMBOLS.map((symbol) => MARKETS[symbol].asset)
export const populationNative: Address = MARKETS.WETH.asset

/** Balances in the tokens' own units. */
type Balances = Readonly<Partial<Record<Symbol, bigint>>>

/** What a public chain shows of one account, constant over the blocks of a test. */
export type Borrower = {
  readonly account: Address
  readonly supplied: Balances
  readonly owed: Balances
  readonly wallet: Balances
}

/** The prices of one block, as parts of the first block's, and the fee. */
export type PublicBlock = {
  readonly number: bigint
  /** Of every block up to this one, oldest first, the last being now. */
  readonly path: Readonly<Record<'WETH' | 'WBTC', readonly number[]>>
  /** How far the pools trade under the oracle. */
  readonly poolLagBps: number
  readonly baseFeeGwei: number
}

type Random = () => number
export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed)
  return () => uniformFloat64(generator)
}
const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/**
 * Borrowers drawn by a seed.
 *
 * - Health factor: 1.02 plus a log-normal of median 0.45 and deviation 1, so nine in ten lie between 1.1 and 3.
 * - Debt: log-uniform from 1,000 to 10,000,000 dollars.
 * - Collateral: two in three WETH, one in five WBTC, the rest both in any proportion. Debt: USDC, USDT or both.
 * - Wallet: half hold none of what they owe, and of the rest most hold from a tenth of a per cent to ten per cent of
 *   the debt, some up to half. Likewise for more collateral.
 */
export function createPopulation(seed: number, count: number): readonly Borrower[] {
  const random = seededRandom(seed)
  return Array.from({ length: count }, (_, index) => drawBorrower(random, index))
}

function drawBorrower(random: Random, index: number): Borrower {
  const healthFactor = 1.02 + 0.45 * Math.exp(normal(random))
  const debt = 1_000 * 10 ** (4 * random())
  const collaterals = shares(random, 'WETH', 'WBTC', 0.65, 0.2)
  const debts = shares(random, 'USDC', 'USDT', 0.7, 0.2)
  const threshold = collaterals.reduce(
    (sum, [symbol, share]) => sum + (share * Number(MARKETS[symbol].threshold)) / 10_000,
    0,
  )
  const collateral = (healthFactor * debt) / threshold
  const held = () => (random() < 0.5 ? 0 : random() < 0.8 ? 10 ** (-3 + 2 * random()) : 0.5 * random())
  const wallet = [...debts, ...collaterals].map(([symbol, share]) => [symbol, share * held()] as const)
  return {
    // Not one of viem's checksummed ones: its cache of those slows down with each.
    account: `0x${index.toString(16).padStart(40, '0')}`,
    supplied: amounts(collaterals, collateral),
    owed: amounts(debts, debt),
    wallet: amounts(wallet, debt),
  }
}

type Shares = readonly (readonly [Symbol, number])[]

/** All in the first, all in the second, or some of both. */
function shares(random: Random, first: Symbol, second: Symbol, alone: number, other: number): Shares {
  const draw = random()
  const part = random()
  if (draw < alone) return [[first, 1]]
  if (draw < alone + other) return [[second, 1]]
  return [
    [first, part],
    [second, 1 - part],
  ]
}

const amounts = (of: Shares, dollars: number): Balances =>
  Object.fromEntries(
    of.map(([symbol, share]) => {
      const { price, decimals } = MARKETS[symbol]
      return [
        symbol,
        (BigInt(Math.floor(((share * dollars) / price) * 1e8)) * 10n ** BigInt(decimals)) / 10n ** 8n,
      ]
    }),
  )

/** Prices that wander by a deviation and a drift a block, in basis points, from one at the first block. */
export function createBlocks(
  seed: number,
  {
    count,
    history = 65,
    volatilityBps,
    driftBps = 0,
    poolLagBps = 0,
  }: {
    readonly count: number
    readonly history?: number
    readonly volatilityBps: number
    readonly driftBps?: number
    readonly poolLagBps?: number
  },
): readonly PublicBlock[] {
  const random = seededRandom(seed)
  const walk = () => {
    const prices: number[] = []
    for (let at = 0; at < history + count; at++)
      prices.push((prices.at(-1) ?? 1) * (1 + (driftBps + volatilityBps * normal(random)) / 10_000))
    // The first block of the test is the one that health factors were drawn at.
    const start = prices[history] ?? 1
    return prices.map((price) => price / start)
  }
  const paths = { WETH: walk(), WBTC: walk() }
  return Array.from({ length: count }, (_, index) => ({
    number: 20_000_000n + BigInt(index),
    path: {
      WETH: paths.WETH.slice(index, history + index + 1),
      WBTC: paths.WBTC.slice(index, history + index + 1),
    },
    poolLagBps,
    baseFeeGwei: 20,
  }))
}

const dollars = (symbol: Symbol, part = 1): Usd => usd(BigInt(Math.round(MARKETS[symbol].price * part * 1e8)))
const partNow = ({ path }: PublicBlock, symbol: Symbol): number =>
  symbol === 'WETH' || symbol === 'WBTC' ? (path[symbol].at(-1) ?? 1) : 1

/** What is the same for every borrower at a block. */
export type PublicState = Omit<Snapshot, 'wallet' | 'positions'>

/** A block, as every guardian observes it. */
export function publicState(block: PublicBlock): PublicState {
  const lag = 1 - block.poolLagBps / 10_000
  const pools = (['WETH', 'WBTC'] as const).flatMap((base) =>
    (['USDC', 'USDT'] as const).map((quote) =>
      poolOf({
        address: addressOf(`pool ${base} ${quote}`),
        base: MARKETS[base].asset,
        baseDecimals: MARKETS[base].decimals,
        quote: MARKETS[quote].asset,
        price: dollars(base, partNow(block, base) * lag),
        // 400 million dollars on each side of a full range, or what such a range is worth in WBTC.
        liquidity: base === 'WETH' ? 10n ** 19n : 10n ** 19n / 612_372n,
      }),
    ),
  )
  return {
    chainId: 1,
    block: {
      number: block.number,
      hash: hashOf(`public block ${block.number}`),
      parentHash: hashOf(`public block ${block.number - 1n}`),
      timestamp: TIMESTAMP,
      baseFeePerGas: wei(BigInt(block.baseFeeGwei) * 10n ** 9n),
    },
    reserves: SYMBOLS.map((symbol) => {
      const { asset, decimals, threshold } = MARKETS[symbol]
      return reserve(asset, symbol, decimals, dollars(symbol, partNow(block, symbol)), threshold)
    }),
    oracles: SYMBOLS.map((symbol) => {
      const now = reading(MARKETS[symbol].asset, dollars(symbol, partNow(block, symbol)))
      if (symbol !== 'WETH' && symbol !== 'WBTC') return now
      const recent = block.path[symbol].map((part, index, { length }) => ({
        price: dollars(symbol, part),
        updatedAt: TIMESTAMP - 12n * BigInt(length - 1 - index),
      }))
      return { ...now, recent }
    }),
    pools,
  }
}

/** What a guardian of that borrower observes. */
export function observe(borrower: Borrower, state: PublicState): Snapshot {
  const reserves: ReservePosition[] = SYMBOLS.map((symbol) => ({
    asset: MARKETS[symbol].asset,
    scaledATokenBalance: borrower.supplied[symbol] ?? 0n,
    scaledVariableDebt: borrower.owed[symbol] ?? 0n,
    usedAsCollateral: (borrower.supplied[symbol] ?? 0n) > 0n,
  }))
  const position: Omit<PositionState, 'account'> = { user: borrower.account, eMode: 0, reserves }
  return {
    ...state,
    wallet: {
      account: borrower.account,
      native: wei(10n ** 18n),
      tokens: SYMBOLS.map((symbol) => ({
        token: MARKETS[symbol].asset,
        balance: tokenAmount(borrower.wallet[symbol] ?? 0n),
      })),
      delegation: null,
    },
    positions: [{ ...position, account: accountData(position, state.reserves, state.block.timestamp) }],
  }
}
