import type { Address } from 'viem'
import { contractRead, mapRead, type Read } from '../read.ts'
import { uniswapPoolReadsAbi } from './abi.ts'

/** Price and tick of a pool. */
export const slot0 = (pool: Address): Read<{ readonly sqrtPriceX96: bigint; readonly tick: number }> =>
  mapRead(
    contractRead(`price of Uniswap pool ${pool}`, pool, uniswapPoolReadsAbi, 'slot0', []),
    ([sqrtPriceX96, tick]) => ({ sqrtPriceX96, tick }),
  )

/** The liquidity in range. */
export const poolLiquidity = (pool: Address): Read<bigint> =>
  contractRead(`liquidity of Uniswap pool ${pool}`, pool, uniswapPoolReadsAbi, 'liquidity', [])

/** The distance of usable ticks. */
export const poolTickSpacing = (pool: Address): Read<number> =>
  contractRead(`tick spacing of Uniswap pool ${pool}`, pool, uniswapPoolReadsAbi, 'tickSpacing', [])

/** The bits of 256 usable ticks. */
export const tickBitmapWord = (pool: Address, word: number): Read<bigint> =>
  contractRead(`tick word ${word} of Uniswap pool ${pool}`, pool, uniswapPoolReadsAbi, 'tickBitmap', [word])

/** How the liquidity changes when a tick is crossed upwards. */
export const tickLiquidityNet = (pool: Address, tick: number): Read<bigint> =>
  mapRead(
    contractRead(`tick ${tick} of Uniswap pool ${pool}`, pool, uniswapPoolReadsAbi, 'ticks', [tick]),
    ([, liquidityNet]) => liquidityNet,
  )
