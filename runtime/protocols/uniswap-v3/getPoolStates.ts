import type { Address } from 'viem'
import type { AddressBook, PoolKey } from '../../core/addressBook.ts'
import type { Hash } from '../../core/ids.ts'
import type { Chain } from '../../core/ports.ts'
import type { PoolState } from '../../core/snapshot.ts'
import { poolOf } from '../book.ts'
import { combineReads, listReads, type ReadGroup, readAll } from '../read.ts'
import { poolLiquidity, poolTickSpacing, slot0, tickBitmapWord, tickLiquidityNet } from './read.ts'
import { ticksInWord, wordEnd, wordOf, wordStart } from './tickBitmap.ts'
import { MAX_TICK, MIN_TICK } from './tickMath.ts'

/** What a pool says of itself, before its ticks are known. */
export type PoolHead = Omit<PoolState, 'ticks' | 'tickRange'>

/** Words on each side of the price's own. At a spacing of 10, two words are a price about two thirds higher or 40 % lower. */
export const DEFAULT_TICK_WORDS = 2

/** Price, liquidity and tick spacing of a pool. */
export function poolHead(key: PoolKey): ReadGroup<PoolHead> {
  const group = combineReads({
    slot: slot0(key.address),
    liquidity: poolLiquidity(key.address),
    tickSpacing: poolTickSpacing(key.address),
  })
  return {
    reads: group.reads,
    assemble(values) {
      const { slot, liquidity, tickSpacing } = group.assemble(values)
      return { ...key, tickSpacing, ...slot, liquidity }
    },
  }
}

/**
 * Finds the initialised ticks around the prices of pools: their bitmaps with one `Chain.read`, their liquidity
 * with another.
 *
 * @param words how many bitmap words on each side of the price's own to read
 * @throws {ReadFailedError} naming what could not be read.
 */
export async function readPoolTicks(
  chain: Chain,
  at: Hash,
  heads: readonly PoolHead[],
  words: number = DEFAULT_TICK_WORDS,
): Promise<readonly PoolState[]> {
  const windows = heads.map((head) => {
    const { tickSpacing } = head
    const center = wordOf(head.tick, tickSpacing)
    const first = Math.max(center - words, wordOf(MIN_TICK, tickSpacing))
    const last = Math.min(center + words, wordOf(MAX_TICK, tickSpacing))
    return { head, first, words: Array.from({ length: last - first + 1 }, (_, index) => first + index), last }
  })
  const { bitmaps } = await readAll(chain, at, {
    bitmaps: listReads(
      windows.map((window) =>
        listReads(window.words.map((word) => tickBitmapWord(window.head.address, word))),
      ),
    ),
  })
  const found = windows.map((window, index) => {
    const bits = bitmaps[index] ?? []
    return window.words.flatMap((word, i) => ticksInWord(bits[i] ?? 0n, word, window.head.tickSpacing))
  })
  const { nets } = await readAll(chain, at, {
    nets: listReads(
      windows.map(({ head }, index) =>
        listReads((found[index] ?? []).map((tick) => tickLiquidityNet(head.address, tick))),
      ),
    ),
  })
  return windows.map(({ head, first, last }, index) => ({
    ...head,
    ticks: (found[index] ?? []).map((tick, i) => ({ tick, liquidityNet: nets[index]?.[i] ?? 0n })),
    tickRange: [wordStart(first, head.tickSpacing), wordEnd(last, head.tickSpacing)],
  }))
}

/**
 * Uniswap v3 pools at a block, in the order of `pools`, with the initialised ticks around their prices.
 *
 * @param words how many bitmap words on each side of the price's own to read
 * @throws {NotInAddressBookError} for a pool that the book does not list.
 * @throws {ReadFailedError} naming what could not be read.
 */
export async function getPoolStates(
  chain: Chain,
  at: Hash,
  book: AddressBook,
  pools: readonly Address[],
  words: number = DEFAULT_TICK_WORDS,
): Promise<readonly PoolState[]> {
  const { heads } = await readAll(chain, at, {
    heads: listReads(pools.map((pool) => poolHead(poolOf(book, pool)))),
  })
  return readPoolTicks(chain, at, heads, words)
}
