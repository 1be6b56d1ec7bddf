import type { Address } from 'viem'
import type { AddressBook, PoolKey } from '../../core/addressBook.ts'
import type { Hash } from '../../core/ids.ts'
import type { Chain } from '../../core/ports.ts'
import type { PoolState } from '../../core/snapshot.ts'
import { poolOf } from '../book.ts'
import { combineReads, listReads, mapGroup, type ReadGroup, readAll } from '../read.ts'
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
  return mapGroup(group, ({ slot, liquidity, tickSpacing }) => ({ ...key, tickSpacing, ...slot, liquidity }))
}

/** The part of a pool's tick bitmap that is looked at: whole words around the price's own. */
export type TickWindow = {
  readonly head: PoolHead
  readonly words: readonly number[]
  readonly tickRange: readonly [lower: number, upper: number]
}

/** @param words how many bitmap words on each side of the price's own */
export function tickWindow(head: PoolHead, words: number): TickWindow {
  const { tickSpacing } = head
  const center = wordOf(head.tick, tickSpacing)
  const first = Math.max(center - words, wordOf(MIN_TICK, tickSpacing))
  const last = Math.min(center + words, wordOf(MAX_TICK, tickSpacing))
  return {
    head,
    words: Array.from({ length: last - first + 1 }, (_, index) => first + index),
    tickRange: [wordStart(first, tickSpacing), wordEnd(last, tickSpacing)],
  }
}

/** Which ticks of a window are initialised, ascending. */
export const initializedTicks = ({ head, words }: TickWindow): ReadGroup<readonly number[]> =>
  mapGroup(listReads(words.map((word) => tickBitmapWord(head.address, word))), (bitmaps) =>
    bitmaps.flatMap((bits, index) => ticksInWord(bits, words[index] ?? 0, head.tickSpacing)),
  )

/** The pool with the liquidity of its initialised ticks. */
export const poolState = (window: TickWindow, initialized: readonly number[]): ReadGroup<PoolState> =>
  mapGroup(listReads(initialized.map((tick) => tickLiquidityNet(window.head.address, tick))), (nets) => ({
    ...window.head,
    ticks: nets.map((liquidityNet, index) => ({ tick: initialized[index] ?? 0, liquidityNet })),
    tickRange: window.tickRange,
  }))

/**
 * Uniswap v3 pools at a block, in the order of `pools`, with the initialised ticks around their prices: with three
 * `Chain.read`, since the price says which bitmaps to read, and these say which ticks.
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
  const windows = heads.map((head) => tickWindow(head, words))
  const { ticks } = await readAll(chain, at, { ticks: listReads(windows.map(initializedTicks)) })
  return (await readAll(chain, at, { pools: poolStates(windows, ticks) })).pools
}

/** Several pools at once, in their order. */
export const poolStates = (
  windows: readonly TickWindow[],
  ticks: readonly (readonly number[])[],
): ReadGroup<readonly PoolState[]> =>
  listReads(windows.map((window, index) => poolState(window, ticks[index] ?? [])))
