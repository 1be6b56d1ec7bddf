import { type Address, type Hex, keccak256, parseEther, stringToHex } from 'viem'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { testTokenArtifact } from '../../contracts/artifacts/TestToken.ts'
import { addressOf } from '../accounts.ts'
import { sqrtPriceX96Of, tickOf } from '../price.ts'
import { type Artifact, readArtifact } from './artifact.ts'
import type { WorldBuilder } from './builder.ts'
import { type WorldTokens, wethArtifact } from './tokens.ts'

export type WorldUniswap = {
  readonly factory: Address
  readonly positionManager: Address
  readonly swapRouter: Address
  readonly quoter: Address
}

/** keccak256 of the pool's creation code, which the periphery has built in to find pools by their tokens. */
const POOL_INIT_CODE_HASH: Hex = '0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54'
/** 0.05 %, and the distance of usable ticks that goes with it. */
export const POOL_FEE = 500
const TICK_SPACING = 10
const FULL_RANGE = 887_270

const core = (name: string) =>
  readArtifact('@uniswap/v3-core', `artifacts/contracts/${name}.sol/${name}.json`)
const periphery = (name: string, folder = '') =>
  readArtifact('@uniswap/v3-periphery', `artifacts/contracts/${folder}${name}.sol/${name}.json`)

export const factoryArtifact = (): Artifact => core('UniswapV3Factory')
export const poolArtifact = (): Artifact => core('UniswapV3Pool')
export const swapRouterArtifact = (): Artifact => periphery('SwapRouter')
const positionManagerArtifact = (): Artifact => periphery('NonfungiblePositionManager')

/** Queues Uniswap v3: factory, position manager, router and quoter. */
export function deployUniswap(builder: WorldBuilder, weth: Address): WorldUniswap {
  const deployer = addressOf('deployer')
  if (keccak256(`0x${poolArtifact().bytecode}`) !== POOL_INIT_CODE_HASH)
    throw new InvariantError("The pool's creation code is not the one that the periphery expects.")
  const factory = builder.deploy(deployer, factoryArtifact())
  const NFTDescriptor = builder.deploy(deployer, periphery('NFTDescriptor', 'libraries/'))
  const descriptor = builder.deploy(
    deployer,
    periphery('NonfungibleTokenPositionDescriptor'),
    [weth, stringToHex('ETH', { size: 32 })],
    { NFTDescriptor },
  )
  return {
    factory,
    positionManager: builder.deploy(deployer, positionManagerArtifact(), [factory, weth, descriptor]),
    swapRouter: builder.deploy(deployer, periphery('SwapRouter'), [factory, weth]),
    quoter: builder.deploy(deployer, periphery('QuoterV2', 'lens/'), [factory, weth]),
  }
}

/**
 * Liquidity of a position, in the unit in which a position from price a to price b (dollars per WETH) holds
 * `liquidity * (sqrt(b) - sqrt(a))` whole USDC below the price, or `liquidity * (1/sqrt(a) - 1/sqrt(b))` whole
 * WETH above it.
 */
const FULL_RANGE_LIQUIDITY = 400_000
/** What the rungs of the ladder hold, in turn: different, so that every boundary changes the depth. */
const RUNG_LIQUIDITY = [500_000, 800_000, 400_000, 650_000]
/** A rung goes from a price to this times as much. */
const RUNG_RATIO = 1.1
const RUNGS_BELOW = 20
const RUNGS_ABOVE = 14

/**
 * Queues the WETH/USDC 0.05 % pool at `price` dollars with deep liquidity: a position over the full range, and a
 * ladder of positions of 10 % width from about 280 to 8,000 dollars (at a start of 2,000), so that a price has
 * initialised ticks on its way. 20 WETH move the price by less than 0.3 %. The liquidity provider must hold
 * enough USDC already.
 */
export function createPool(
  builder: WorldBuilder,
  uniswap: WorldUniswap,
  { weth, usdc }: WorldTokens,
  price: number,
): void {
  const provider = addressOf('liquidityProvider')
  const manager = { address: uniswap.positionManager, abi: positionManagerArtifact().abi }
  const wethIsToken0 = BigInt(weth.address) < BigInt(usdc.address)
  const [token0, token1] = wethIsToken0 ? [weth, usdc] : [usdc, weth]
  const inOrder = <T>(ofWeth: T, ofUsdc: T): [T, T] => (wethIsToken0 ? [ofWeth, ofUsdc] : [ofUsdc, ofWeth])
  const usd8 = BigInt(Math.round(price * 1e8))

  const positions = ladder(price)
  const wethNeeded = positions.reduce((sum, position) => sum + position.weth, 0n)
  const usdcNeeded = positions.reduce((sum, position) => sum + position.usdc, 0n)
  builder.call(provider, { address: weth.address, abi: wethArtifact().abi }, 'deposit', [], wethNeeded)
  builder.call(provider, { address: weth.address, abi: wethArtifact().abi }, 'approve', [
    manager.address,
    wethNeeded,
  ])
  builder.call(provider, { address: usdc.address, abi: testTokenArtifact.abi }, 'approve', [
    manager.address,
    usdcNeeded,
  ])
  builder.call(provider, manager, 'createAndInitializePoolIfNecessary', [
    token0.address,
    token1.address,
    POOL_FEE,
    sqrtPriceX96Of(usd8, wethIsToken0),
  ])
  for (const position of positions) {
    const ticks = position.range?.map((edge) => usableTick(edge, wethIsToken0)).sort((a, b) => a - b)
    const [tickLower, tickUpper] = ticks ?? [-FULL_RANGE, FULL_RANGE]
    const [amount0Desired, amount1Desired] = inOrder(position.weth, position.usdc)
    builder.call(provider, manager, 'mint', [
      {
        token0: token0.address,
        token1: token1.address,
        fee: POOL_FEE,
        tickLower,
        tickUpper,
        amount0Desired,
        amount1Desired,
        amount0Min: 0n,
        amount1Min: 0n,
        recipient: provider,
        deadline: 2n ** 64n,
      },
    ])
  }
}

type Position = {
  /** Dollars per WETH; absent over the full range. */
  readonly range?: readonly [number, number]
  readonly weth: bigint
  readonly usdc: bigint
}

/** Only `+ - * / sqrt` are used, which give the same bits on every machine. */
function ladder(price: number): readonly Position[] {
  const now = Math.sqrt(price)
  const positions: Position[] = [
    { weth: wholeWeth(FULL_RANGE_LIQUIDITY / now), usdc: wholeUsdc(FULL_RANGE_LIQUIDITY * now) },
  ]
  // The price lies in the middle of a rung, not on its edge.
  let low = price / Math.sqrt(RUNG_RATIO)
  for (let rung = 0; rung < RUNGS_BELOW; rung++) low /= RUNG_RATIO
  for (let rung = 0; rung <= RUNGS_BELOW + RUNGS_ABOVE; rung++) {
    const high = low * RUNG_RATIO
    const liquidity = RUNG_LIQUIDITY[rung % RUNG_LIQUIDITY.length] ?? 0
    const [a, b] = [Math.sqrt(low), Math.sqrt(high)]
    const at = Math.min(Math.max(now, a), b)
    positions.push({
      range: [low, high],
      weth: wholeWeth(liquidity * (1 / at - 1 / b)),
      usdc: wholeUsdc(liquidity * (at - a)),
    })
    low = high
  }
  return positions
}

const wholeWeth = (amount: number): bigint => parseEther(amount.toFixed(6))
const wholeUsdc = (amount: number): bigint => BigInt(Math.round(amount * 1e6))

function usableTick(price: number, wethIsToken0: boolean): number {
  return Math.round(tickOf(price, wethIsToken0) / TICK_SPACING) * TICK_SPACING
}
