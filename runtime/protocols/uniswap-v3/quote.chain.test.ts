import fc from 'fast-check'
import { parseAbi } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { addressOf } from '../../../infra/world/accounts.ts'
import { price, protocolWorld } from '../../../test/protocolWorld.ts'
import type { PoolState } from '../../core/snapshot.ts'
import { type TokenAmount, tokenAmount } from '../../core/units.ts'
import { encodeExactInputSingle } from './encode.ts'
import { getPoolStates } from './getPoolStates.ts'
import {
  InsufficientLiquidityError,
  poolAfter,
  type Quote,
  QuoteOutOfRangeError,
  quoteExactIn,
  quoteExactOut,
} from './quote.ts'
import { getSqrtRatioAtTick } from './tickMath.ts'

const quoterAbi = parseAbi([
  'struct In { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }',
  'struct Out { address tokenIn; address tokenOut; uint256 amount; uint24 fee; uint160 sqrtPriceLimitX96; }',
  'function quoteExactInputSingle(In params) returns (uint256 amount, uint160 sqrtPriceX96After, uint32 initializedTicksCrossed, uint256 gasEstimate)',
  'function quoteExactOutputSingle(Out params) returns (uint256 amount, uint160 sqrtPriceX96After, uint32 initializedTicksCrossed, uint256 gasEstimate)',
])
type Quoted = readonly [amount: bigint, sqrtPriceX96After: bigint, crossed: number, gas: bigint]

/** Amounts of every size: from single units to more than the pool holds. */
const anyAmount = fc
  .tuple(fc.integer({ min: 0, max: 26 }), fc.integer({ min: 1, max: 9_999 }))
  .map(([zeros, digits]) => tokenAmount((BigInt(digits) * 10n ** BigInt(zeros)) / 1_000n + 1n))
const anyPrice = fc.integer({ min: 60_000, max: 700_000 }).map((cents) => price((cents / 100).toFixed(2)))

/** More words than a pool has at a spacing of 10: the whole range, wherever the price is. */
const EVERY_WORD = 800

describe('quotes against the real pool', async () => {
  const { book, chain, head, ask, setPrice, weth, usdc, pool: address, send, undone } = await protocolWorld()
  const read = async (words?: number): Promise<PoolState> => {
    const [pool] = await getPoolStates(chain, (await head()).hash, book, [address], words)
    if (pool === undefined) throw new Error('no pool')
    return pool
  }
  let pool: PoolState
  beforeAll(async () => {
    pool = await read(EVERY_WORD)
  })

  const compare = async (
    state: PoolState,
    sellsWeth: boolean,
    exactIn: boolean,
    amount: TokenAmount,
    limit: bigint | undefined,
  ) => {
    const [tokenIn, tokenOut] = sellsWeth ? [weth, usdc] : [usdc, weth]
    const common = { tokenIn, tokenOut, fee: state.fee, sqrtPriceLimitX96: limit ?? 0n }
    const theirs = (await (exactIn
      ? ask(book.uniswapV3.quoter, quoterAbi, 'quoteExactInputSingle', [{ ...common, amountIn: amount }])
      : ask(book.uniswapV3.quoter, quoterAbi, 'quoteExactOutputSingle', [
          { ...common, amount },
        ]))) as Quoted | null
    let ours: Quote
    try {
      ours = exactIn
        ? quoteExactIn(state, tokenIn, amount, limit)
        : quoteExactOut(state, tokenIn, amount, limit)
    } catch (error) {
      expect(error).toBeInstanceOf(InsufficientLiquidityError)
      expect(theirs).toBeNull()
      return
    }
    expect([exactIn ? ours.amountOut : ours.amountIn, ours.sqrtPriceAfter]).toEqual([
      theirs?.[0],
      theirs?.[1],
    ])
  }

  it('reads every initialised tick, whose liquidity adds up', () => {
    const sum = pool.ticks.reduce((total, { liquidityNet }) => total + liquidityNet, 0n)
    expect(sum).toBe(0n)
    expect(pool.ticks.length).toBeGreaterThan(30)
    const inRange = pool.ticks
      .filter(({ tick }) => tick <= pool.tick)
      .reduce((total, { liquidityNet }) => total + liquidityNet, 0n)
    expect(inRange).toBe(pool.liquidity)
  })

  it('agrees with QuoterV2 to the wei, both ways, exact in and exact out', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.boolean(), anyAmount, async (sellsWeth, exactIn, amount) => {
        await compare(pool, sellsWeth, exactIn, amount, undefined)
      }),
      { numRuns: 150 },
    )
  })

  it('agrees with QuoterV2 up to a price limit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        anyAmount,
        fc.integer({ min: 1, max: 20_000 }),
        async (sellsWeth, exactIn, amount, distance) => {
          const sellsToken0 = (sellsWeth ? weth : usdc) === pool.token0
          const limit = getSqrtRatioAtTick(pool.tick + (sellsToken0 ? -distance : distance + 1))
          await compare(pool, sellsWeth, exactIn, amount, limit)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('agrees wherever the price is, and refuses beyond the ticks that were read', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyPrice,
        fc.boolean(),
        fc.boolean(),
        anyAmount,
        async (at, sellsWeth, exactIn, amount) => {
          await undone(async () => {
            await setPrice({ pool: at })
            const narrow = await read(1)
            const { sqrtPriceX96, tick, liquidity } = narrow
            const wide = { ...pool, sqrtPriceX96, tick, liquidity }
            await compare(wide, sellsWeth, exactIn, amount, undefined)
            const tokenIn = sellsWeth ? weth : usdc
            const quote = (state: PoolState) =>
              exactIn ? quoteExactIn(state, tokenIn, amount) : quoteExactOut(state, tokenIn, amount)
            try {
              expect(quote(narrow)).toEqual(quote(wide))
            } catch (error) {
              const isRefusal =
                error instanceof QuoteOutOfRangeError || error instanceof InsufficientLiquidityError
              if (!isRefusal) throw error
            }
          })
        },
      ),
      { numRuns: 40 },
    )
  })

  it('predicts what swaps across ticks do, one after another', async () => {
    const trader = addressOf('arbitrageur')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 4_000 })), { minLength: 1, maxLength: 6 }),
        async (swaps) => {
          await undone(async () => {
            let expected = pool
            for (const [sellsWeth, size] of swaps) {
              const [tokenIn, tokenOut] = sellsWeth ? [weth, usdc] : [usdc, weth]
              const amountIn = tokenAmount(BigInt(size) * (sellsWeth ? 10n ** 18n : 2_000_000_000n))
              const quote = quoteExactIn(expected, tokenIn, amountIn)
              const done = await send(
                trader,
                encodeExactInputSingle(book.uniswapV3.swapRouter, {
                  tokenIn,
                  tokenOut,
                  fee: expected.fee,
                  recipient: trader,
                  deadline: 2n ** 64n,
                  amountIn,
                  minAmountOut: quote.amountOut,
                }),
              )
              expect(done).toBe(true)
              expected = poolAfter(expected, quote)
              const { sqrtPriceX96, tick, liquidity } = await read(0)
              expect({ ...expected, sqrtPriceX96, tick, liquidity }).toEqual(expected)
            }
          })
        },
      ),
      { numRuns: 15 },
    )
  })
})
