import { type Address, maxUint256, numberToHex, parseEther, parseUnits } from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import { usd } from '../../../runtime/core/units.ts'
import { testTokenArtifact } from '../../contracts/artifacts/TestToken.ts'
import { addressOf } from '../accounts.ts'
import { BLOCK_SECONDS } from '../block.ts'
import type { Rpc } from '../rpc.ts'
import {
  aavePoolArtifact,
  dataProviderArtifact,
  deployAave,
  type Listing,
  listReserves,
  readAaveProxies,
} from './aave.ts'
import { createWorldBuilder, type WorldBuilder } from './builder.ts'
import { deployFeed, submitFirstPrice } from './chainlink.ts'
import { MULTICALL3, placeMulticall3 } from './multicall3.ts'
import { deployRialto } from './rialto.ts'
import { deployTokens, type WorldTokens, wethArtifact } from './tokens.ts'
import { addLiquidity, createPool, deployUniswap, readPool } from './uniswap.ts'

/**
 * The time of the last block of every fresh world: when Ethereum began (30 July 2015, 15:26:13 UTC). Fixed, so
 * that interest accrues alike on every machine, and early, so that any price history can be played at its own
 * times.
 */
export const WORLD_START = 1_438_269_973n

const WORLD_DOLLARS = 2_000

/** ETH/USD and the pool's price in every fresh world, 8 decimals. */
export const WORLD_PRICE = usd(BigInt(WORLD_DOLLARS) * 10n ** 8n)

/** Seconds after which consumers may call a feed's price stale: those of the feeds on mainnet. */
const HEARTBEATS = { weth: 3_600, usdc: 86_400 } as const

const BUILD_BLOCKS = 4
const RICH = 10n ** 27n // wei: a billion ether
const AAVE_USDC = parseUnits('30000000', 6)
const AAVE_WETH = parseEther('5000')
const POOL_USDC = parseUnits('100000000', 6)
const ARBITRAGE_WETH = parseEther('100000000')
const ARBITRAGE_USDC = parseUnits('1000000000000', 6)

/**
 * Deploys everything onto a fresh anvil: tokens, Multicall3, Uniswap v3 with a deep WETH/USDC pool, Chainlink
 * feeds, Aave v3 with both markets and what borrowers borrow, and our own contracts.
 *
 * Addresses depend on nothing but the order of this code: the same on every machine.
 *
 * @param rpc an anvil with `--no-mining`, begun at or before {@link WORLD_START} less a minute, and with a block
 * gas limit of billions
 * @throws {WorldTransactionError} when a transaction fails.
 */
export async function deployWorld(rpc: Rpc, chainId: number): Promise<AddressBook> {
  let block = 0
  const builder = createWorldBuilder(
    rpc,
    () => WORLD_START - BigInt(BLOCK_SECONDS * (BUILD_BLOCKS - ++block)),
  )
  await Promise.all(
    (['deployer', 'liquidityProvider', 'whale', 'oracle', 'arbitrageur'] as const).map((role) =>
      rpc('anvil_setBalance', addressOf(role), numberToHex(RICH)),
    ),
  )
  await placeMulticall3(builder)

  const tokens = deployTokens(builder)
  const uniswap = deployUniswap(builder, tokens.weth.address)
  const wethFeed = deployFeed(builder, 'ETH / USD')
  const usdcFeed = deployFeed(builder, 'USDC / USD')
  const listings = markets(tokens, wethFeed.feed, usdcFeed.feed)
  const aave = deployAave(builder, listings)
  const rialto = deployRialto(builder)
  await builder.mine()

  const proxies = await readAaveProxies(builder, aave)
  listReserves(builder, aave, proxies, listings)
  submitFirstPrice(builder, wethFeed, WORLD_PRICE)
  submitFirstPrice(builder, usdcFeed, 10n ** 8n)
  fund(builder, tokens)
  createPool(builder, uniswap, tokens, WORLD_DOLLARS)
  await builder.mine()

  const { tick, ...pool } = await readPool(builder, uniswap, tokens)
  addLiquidity(builder, uniswap, tokens, WORLD_DOLLARS, tick)
  await builder.mine()

  supplyMarkets(builder, tokens, proxies.pool)
  approveArbitrage(builder, tokens, uniswap.swapRouter)
  await builder.mine()

  const reserves = await Promise.all(
    [tokens.weth, tokens.usdc].map(async ({ address: asset }) => {
      const target = { address: aave.dataProvider, abi: dataProviderArtifact().abi }
      const [aToken, , variableDebtToken] = await builder.read<readonly [Address, Address, Address]>(
        target,
        'getReserveTokensAddresses',
        [asset],
      )
      return { asset, aToken, variableDebtToken }
    }),
  )
  return {
    chainId,
    multicall3: MULTICALL3,
    wrappedNative: tokens.weth.address,
    tokens: [tokens.weth, tokens.usdc],
    aaveV3: {
      poolAddressesProvider: aave.poolAddressesProvider,
      pool: proxies.pool,
      oracle: aave.oracle,
      dataProvider: aave.dataProvider,
      reserves,
    },
    uniswapV3: {
      factory: uniswap.factory,
      swapRouter: uniswap.swapRouter,
      quoter: uniswap.quoter,
      pools: [pool],
    },
    chainlink: [
      { asset: tokens.weth.address, feed: wethFeed.feed, heartbeat: HEARTBEATS.weth },
      { asset: tokens.usdc.address, feed: usdcFeed.feed, heartbeat: HEARTBEATS.usdc },
    ],
    rialto,
  }
}

/** The two markets with the parameters that they have (about) on mainnet. */
function markets(tokens: WorldTokens, wethFeed: Address, usdcFeed: Address): readonly Listing[] {
  return [
    {
      token: tokens.weth,
      feed: wethFeed,
      ltv: 8_000n,
      liquidationThreshold: 8_250n,
      liquidationBonus: 500n,
      liquidationProtocolFee: 1_000n,
      reserveFactor: 1_500n,
      rates: { optimalUsage: 8_000n, slope1: 330n, slope2: 8_000n },
    },
    {
      token: tokens.usdc,
      feed: usdcFeed,
      ltv: 7_700n,
      liquidationThreshold: 8_000n,
      liquidationBonus: 450n,
      liquidationProtocolFee: 1_000n,
      reserveFactor: 1_000n,
      rates: { optimalUsage: 9_000n, slope1: 400n, slope2: 6_000n },
    },
  ]
}

/** WETH and dollars for those who put up liquidity, and for the arbitrageur, who practically cannot run out. */
function fund(builder: WorldBuilder, { weth, usdc }: WorldTokens): void {
  const dollars = { address: usdc.address, abi: testTokenArtifact.abi }
  const ether = { address: weth.address, abi: wethArtifact().abi }
  builder.call(addressOf('deployer'), dollars, 'mint', [addressOf('whale'), AAVE_USDC])
  builder.call(addressOf('deployer'), dollars, 'mint', [addressOf('liquidityProvider'), POOL_USDC])
  builder.call(addressOf('deployer'), dollars, 'mint', [addressOf('arbitrageur'), ARBITRAGE_USDC])
  builder.call(addressOf('whale'), ether, 'deposit', [], AAVE_WETH)
  builder.call(addressOf('arbitrageur'), ether, 'deposit', [], ARBITRAGE_WETH)
}

function supplyMarkets(builder: WorldBuilder, { weth, usdc }: WorldTokens, pool: Address): void {
  const whale = addressOf('whale')
  for (const [token, amount] of [
    [weth, AAVE_WETH],
    [usdc, AAVE_USDC],
  ] as const) {
    builder.call(whale, { address: token.address, abi: testTokenArtifact.abi }, 'approve', [pool, amount])
    builder.call(whale, { address: pool, abi: aavePoolArtifact().abi }, 'supply', [
      token.address,
      amount,
      whale,
      0,
    ])
  }
}

/** The arbitrageur belongs to the world, not to Rialto: it alone may approve without a limit. */
function approveArbitrage(builder: WorldBuilder, { weth, usdc }: WorldTokens, swapRouter: Address): void {
  for (const { address } of [weth, usdc])
    builder.call(addressOf('arbitrageur'), { address, abi: testTokenArtifact.abi }, 'approve', [
      swapRouter,
      maxUint256,
    ])
}
