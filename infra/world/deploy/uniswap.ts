import { type Address, type Hex, keccak256, parseEther, stringToHex } from 'viem'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { testTokenArtifact } from '../../contracts/artifacts/TestToken.ts'
import { addressOf } from '../accounts.ts'
import { isToken0, sqrtPriceX96Of } from '../price.ts'
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
const POOL_FEE = 500
const TICK_SPACING = 10
const FULL_RANGE = 887_270

const core = (name: string) =>
  readArtifact('@uniswap/v3-core', `artifacts/contracts/${name}.sol/${name}.json`)
const periphery = (name: string, folder = '') =>
  readArtifact('@uniswap/v3-periphery', `artifacts/contracts/${folder}${name}.sol/${name}.json`)

const factoryArtifact = (): Artifact => core('UniswapV3Factory')
const poolArtifact = (): Artifact => core('UniswapV3Pool')
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
 * Queues the WETH/USDC 0.05 % pool at a price, yet without liquidity.
 *
 * @param price whole dollars per WETH
 */
export function createPool(
  builder: WorldBuilder,
  uniswap: WorldUniswap,
  tokens: WorldTokens,
  price: number,
): void {
  const { token0, token1, wethIsToken0 } = inOrder(tokens)
  builder.call(
    addressOf('liquidityProvider'),
    { address: uniswap.positionManager, abi: positionManagerArtifact().abi },
    'createAndInitializePoolIfNecessary',
    [token0, token1, POOL_FEE, sqrtPriceX96Of(BigInt(price) * 10n ** 8n, wethIsToken0)],
  )
}

/** The pool that {@link createPool} made, and its tick; to be read after that is mined. */
export async function readPool(builder: WorldBuilder, uniswap: WorldUniswap, tokens: WorldTokens) {
  const { token0, token1 } = inOrder(tokens)
  const factory = { address: uniswap.factory, abi: factoryArtifact().abi }
  const address = await builder.read<Address>(factory, 'getPool', [token0, token1, POOL_FEE])
  const [, tick] = await builder.read<readonly [bigint, number]>(
    { address, abi: poolArtifact().abi },
    'slot0',
  )
  return { address, tick, token0, token1, fee: POOL_FEE }
}

/**
 * Liquidity of a position, in the unit in which a position from price a to price b (dollars per WETH) holds
 * `liquidity * (sqrt(b) - sqrt(a))` whole USDC below the price, or `liquidity * (1/sqrt(a) - 1/sqrt(b))` whole
 * WETH above it.
 */
const FULL_RANGE_LIQUIDITY = 400_000
/** What the rungs of the ladder hold, in turn: different, so that every boundary changes the depth. */
const RUNG_LIQUIDITY = [500_000, 800_000, 400_000, 650_000]
/** The width of a rung: 950 ticks of 0.01 % are a factor of 1.1. */
const RUNG_TICKS = 950
const RUNG_RATIO = 1.1
const RUNGS_BELOW = 20
const RUNGS_ABOVE = 14

/**
 * Queues deep liquidity: a position over the full range, and a ladder of positions of 10 % width from about 280 to
 * 8,000 dollars (at a start of 2,000), so that a price crosses initialised ticks on its way. 20 WETH move the price
 * by less than 0.3 %. The liquidity provider must hold enough USDC already.
 *
 * @param price whole dollars per WETH, where the pool is
 * @param tick the pool's
 */
export function addLiquidity(
  builder: WorldBuilder,
  { positionManager }: WorldUniswap,
  tokens: WorldTokens,
  price: number,
  tick: number,
): void {
  const provider = addressOf('liquidityProvider')
  const manager = { address: positionManager, abi: positionManagerArtifact().abi }
  const { token0, token1, wethIsToken0 } = inOrder(tokens)
  const ether = { address: tokens.weth.address, abi: wethArtifact().abi }
  const dollars = { address: tokens.usdc.address, abi: testTokenArtifact.abi }

  const positions = [fullRange(price), ...ladder(price, tick, wethIsToken0)]
  const total = (token: 'weth' | 'usdc') => positions.reduce((sum, position) => sum + position[token], 0n)
  builder.call(provider, ether, 'deposit', [], total('weth'))
  builder.call(provider, ether, 'approve', [positionManager, total('weth')])
  builder.call(provider, dollars, 'approve', [positionManager, total('usdc')])
  for (const { weth, usdc, tickLower, tickUpper } of positions) {
    const [amount0Desired, amount1Desired] = wethIsToken0 ? [weth, usdc] : [usdc, weth]
    builder.call(provider, manager, 'mint', [
      {
        ...{ token0, token1, fee: POOL_FEE, tickLower, tickUpper, amount0Desired, amount1Desired },
        ...{ amount0Min: 0n, amount1Min: 0n, recipient: provider, deadline: 2n ** 64n },
      },
    ])
  }
}

type Position = {
  readonly tickLower: number
  readonly tickUpper: number
  readonly weth: bigint
  readonly usdc: bigint
}

const fullRange = (price: number): Position => ({
  tickLower: -FULL_RANGE,
  tickUpper: FULL_RANGE,
  weth: wholeWeth(FULL_RANGE_LIQUIDITY / Math.sqrt(price)),
  usdc: wholeUsdc(FULL_RANGE_LIQUIDITY * Math.sqrt(price)),
})

/** Only `+ - * /` and the square root are used, which give the same bits on every machine. */
function ladder(price: number, tick: number, wethIsToken0: boolean): readonly Position[] {
  const now = Math.sqrt(price)
  const usable = (value: number) => Math.round(value / TICK_SPACING) * TICK_SPACING
  // The price lies in the middle of a rung, not on an edge.
  let low = price / Math.sqrt(RUNG_RATIO)
  for (let rung = 0; rung < RUNGS_BELOW; rung++) low /= RUNG_RATIO
  const positions: Position[] = []
  for (let rung = -RUNGS_BELOW; rung <= RUNGS_ABOVE; rung++) {
    const high = low * RUNG_RATIO
    const liquidity = RUNG_LIQUIDITY[(rung + RUNGS_BELOW) % RUNG_LIQUIDITY.length] ?? 0
    const [a, b] = [Math.sqrt(low), Math.sqrt(high)]
    const at = Math.min(Math.max(now, a), b)
    const middle = tick + (wethIsToken0 ? rung : -rung) * RUNG_TICKS
    positions.push({
      tickLower: usable(middle - RUNG_TICKS / 2),
      tickUpper: usable(middle + RUNG_TICKS / 2),
      weth: wholeWeth(liquidity * (1 / at - 1 / b)),
      usdc: wholeUsdc(liquidity * (at - a)),
    })
    low = high
  }
  return positions
}

const wholeWeth = (amount: number): bigint => parseEther(amount.toFixed(6))
const wholeUsdc = (amount: number): bigint => BigInt(Math.round(amount * 1e6))

function inOrder({ weth, usdc }: WorldTokens) {
  const wethIsToken0 = isToken0(weth.address, usdc.address)
  const [token0, token1] = wethIsToken0 ? [weth.address, usdc.address] : [usdc.address, weth.address]
  return { token0, token1, wethIsToken0 }
}
