import {
  type Address,
  createPublicClient,
  encodeFunctionData,
  type Hex,
  http,
  keccak256,
  type PublicClient,
  parseAbi,
  parseEther,
  parseGwei,
  parseUnits,
} from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import { type Usd, usd } from '../../runtime/core/units.ts'
import { worldAccounts } from './accounts.ts'
import { type BlockOptions, type MinedBlock, mineBlock, unlessKnown } from './block.ts'
import { isToken0, sqrtPriceX96Of, usd8Of } from './price.ts'
import { createRpc } from './rpc.ts'
import type { World } from './world.ts'

/**
 * What the world's own actors bid, so that a block's order is always: the oracle, the arbitrageur, then everybody
 * else by `maxFeePerGas` (which is what anvil sorts by) and, where these are equal, by arrival. Agents must bid
 * less than the arbitrageur, and those that want a settled order among them must not bid the same.
 */
export const WORLD_FEES = {
  oracle: { maxFeePerGas: parseGwei('9000'), maxPriorityFeePerGas: parseGwei('2') },
  arbitrageur: { maxFeePerGas: parseGwei('8000'), maxPriorityFeePerGas: parseGwei('2') },
} as const

/** What became of a transaction of the world's. */
export type ActorTransaction =
  /** `sent`: it was new to the node; `known`: the node had these bytes already. */
  | { readonly outcome: 'sent' | 'known'; readonly nonce: number; readonly hash: Hex }
  /** The nonce that was asked for is used up, so there was nothing to do. */
  | { readonly outcome: 'mined'; readonly nonce: number }

export type ActorOptions = {
  /**
   * The actor's nonce; the next one by the last mined block when absent. Someone who resumes after a crash names
   * the nonce that he had written down, and cannot do anything twice.
   */
  readonly nonce?: number
}

/**
 * Moves a world. Everything here may be done again after a crash, to the same effect.
 *
 * What is sent takes effect with the next block: call `mineBlock`, also on a chain that mines by itself, where the
 * answer to a transaction may come before its block does.
 */
export type Actors = {
  /**
   * Submits a price to the Chainlink aggregator behind an asset's feed; it holds from the next block on.
   *
   * @param price US dollars with 8 decimals
   * @param asset WETH when absent
   */
  pushPrice(price: Usd, asset?: Address, options?: ActorOptions): Promise<ActorTransaction>
  /**
   * Trades the WETH/USDC pool to a price, up or down, in the next block. Nothing is sent, and `undefined` returned,
   * when the pool is there already to the last unit of its square root price.
   *
   * @param price US dollars with 8 decimals
   */
  arbitrageTo(price: Usd, options?: ActorOptions): Promise<ActorTransaction | undefined>
  /** Mines a block of all that waits; see {@link mineBlock}. */
  mineBlock(options?: BlockOptions): Promise<MinedBlock>
  /** Dollars per WETH in the pool as of the last block, 8 decimals, rounded down. */
  poolPrice(): Promise<Usd>
  /** Dollars per WETH by the Chainlink feed as of the last block, 8 decimals. */
  oraclePrice(): Promise<Usd>
}

const aggregatorAbi = parseAbi([
  'function aggregator() view returns (address)',
  'function latestRoundData() view returns (uint80, int256, uint256, uint256, uint80)',
  'function latestRound() view returns (uint256)',
  'function submit(uint256 roundId, int256 submission)',
])
const poolAbi = parseAbi([
  'function slot0() view returns (uint160 sqrtPriceX96, int24, uint16, uint16, uint16, uint8, bool)',
])
const routerAbi = parseAbi([
  'struct Swap { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }',
  'function exactInputSingle(Swap) payable returns (uint256)',
])

const NO_DEADLINE = 2n ** 64n
/** More than any price can take: the swap ends at its price limit, and takes no more than that. */
const LIMITLESS = { weth: parseEther('10000000'), usdc: parseUnits('100000000000', 6) }
const SUBMIT_GAS = 300_000n
/** A swap over the whole ladder crosses 70 ticks. */
const ARBITRAGE_GAS = 4_000_000n

/**
 * The actors of a world.
 *
 * @example
 * const actors = createActors(world)
 * await actors.pushPrice(usd(1_900n * 10n ** 8n))
 * await actors.arbitrageTo(usd(1_900n * 10n ** 8n))
 * await actors.mineBlock({ baseFeePerGas: wei(20_000_000_000n) })
 */
export function createActors(world: Pick<World, 'url' | 'chainId' | 'addressBook'>): Actors {
  const { addressBook: book, chainId } = world
  const rpc = createRpc(world.url)
  const client: PublicClient = createPublicClient({
    transport: http(world.url, { retryCount: 0 }),
    cacheTime: 0,
  })
  const [pool] = book.uniswapV3.pools
  const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  if (pool === undefined || usdc === undefined)
    throw new InvariantError('The address book is not that of a world.')
  const weth = book.wrappedNative
  const wethIsToken0 = isToken0(weth, usdc)

  const feedOf = (asset: Address): Address => {
    const feed = book.chainlink.find((entry) => entry.asset === asset)?.feed
    if (feed === undefined) throw new InvariantError('The asset has no price feed.', { asset })
    return feed
  }

  const send = async (
    role: keyof typeof WORLD_FEES,
    transaction: { to: Address; data: Hex; gas: bigint },
    { nonce }: ActorOptions,
  ): Promise<ActorTransaction> => {
    const account = worldAccounts[role]
    const next = Number(await rpc<Hex>('eth_getTransactionCount', account.address, 'latest'))
    const used = nonce ?? next
    if (used < next) return { nonce: used, outcome: 'mined' }
    const raw = await account.signTransaction({
      ...{ type: 'eip1559', chainId, nonce: used, ...transaction },
      ...WORLD_FEES[role],
    })
    const outcome = await unlessKnown(rpc('eth_sendRawTransaction', raw))
    return { outcome, nonce: used, hash: keccak256(raw) }
  }

  const sqrtPrice = async (): Promise<bigint> =>
    (await client.readContract({ address: pool.address, abi: poolAbi, functionName: 'slot0' }))[0]

  return {
    async pushPrice(price, asset = weth, options = {}) {
      const aggregator = await client.readContract({
        ...{ address: feedOf(asset), abi: aggregatorAbi, functionName: 'aggregator' },
      })
      const round = await client.readContract({
        ...{ address: aggregator, abi: aggregatorAbi, functionName: 'latestRound' },
      })
      const data = encodeFunctionData({
        ...{ abi: aggregatorAbi, functionName: 'submit', args: [round + 1n, price] },
      })
      return await send('oracle', { to: aggregator, data, gas: SUBMIT_GAS }, options)
    },
    async arbitrageTo(price, options = {}) {
      const [current, sqrtPriceLimitX96] = [await sqrtPrice(), sqrtPriceX96Of(price, wethIsToken0)]
      if (current === sqrtPriceLimitX96) return undefined
      // Selling token0 lowers the pool's price, which is token1 per token0.
      const sellsWeth = sqrtPriceLimitX96 < current === wethIsToken0
      const data = encodeFunctionData({
        abi: routerAbi,
        functionName: 'exactInputSingle',
        args: [
          {
            ...(sellsWeth ? { tokenIn: weth, tokenOut: usdc } : { tokenIn: usdc, tokenOut: weth }),
            ...{ fee: pool.fee, recipient: worldAccounts.arbitrageur.address, deadline: NO_DEADLINE },
            ...{
              amountIn: sellsWeth ? LIMITLESS.weth : LIMITLESS.usdc,
              amountOutMinimum: 0n,
              sqrtPriceLimitX96,
            },
          },
        ],
      })
      return await send('arbitrageur', { to: book.uniswapV3.swapRouter, data, gas: ARBITRAGE_GAS }, options)
    },
    mineBlock: (options) => mineBlock(rpc, options),
    async poolPrice() {
      return usd(usd8Of(await sqrtPrice(), wethIsToken0))
    },
    async oraclePrice() {
      const round = await client.readContract({
        ...{ address: feedOf(weth), abi: aggregatorAbi, functionName: 'latestRoundData' },
      })
      return usd(round[1])
    },
  }
}
