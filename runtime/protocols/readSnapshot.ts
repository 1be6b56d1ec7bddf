import type { Address } from 'viem'
import type { AddressBook } from '../core/addressBook.ts'
import type { Chain } from '../core/ports.ts'
import type { BlockRef, Snapshot, WatchList } from '../core/snapshot.ts'
import { positionState } from './aave-v3/getPositions.ts'
import { reserveState } from './aave-v3/getReserves.ts'
import { poolOf } from './book.ts'
import { DEFAULT_RECENT_ROUNDS, oracleReadings, withRecentRounds } from './chainlink/getOracleReadings.ts'
import { DEFAULT_ORACLE_TOLERANCE, type OracleTolerance } from './chainlink/judgeReading.ts'
import { delegationOf, walletBalances } from './erc20/getWallet.ts'
import { listReads, readAll } from './read.ts'
import {
  DEFAULT_TICK_WORDS,
  initializedTicks,
  poolHead,
  poolStates,
  tickWindow,
} from './uniswap-v3/getPoolStates.ts'

export type SnapshotOptions = {
  readonly tolerance?: OracleTolerance
  /** Bitmap words read on each side of a pool's price. */
  readonly tickWords?: number
  /** Rounds of each price feed read besides the latest. */
  readonly recentRounds?: number
}

/**
 * All that an agent asked to see, at one block, with three `Chain.read`: the first answers nearly everything, its
 * prices and rounds say where the pools' ticks and the feeds' history are, and bitmaps say which ticks there are.
 *
 * @param account whose wallet is read
 * @throws {NotInAddressBookError} for anything watched that the book does not list.
 * @throws {ReadFailedError} naming the first value that could not be read.
 */
export async function readSnapshot(
  chain: Chain,
  block: BlockRef,
  book: AddressBook,
  account: Address,
  watch: WatchList,
  options: SnapshotOptions = {},
): Promise<Snapshot> {
  const { assets } = watch
  const tolerance = options.tolerance ?? DEFAULT_ORACLE_TOLERANCE
  const [head, code] = await Promise.all([
    readAll(chain, block.hash, {
      wallet: walletBalances(book, account, assets),
      reserves: listReads(assets.map((asset) => reserveState(book, asset))),
      oracles: oracleReadings(book, assets, block.timestamp, tolerance),
      positions: listReads(watch.positions.map((user) => positionState(book, user, assets))),
      pools: listReads(watch.pools.map((pool) => poolHead(poolOf(book, pool)))),
    }),
    chain.code(account, block.hash),
  ])
  const { wallet, reserves, positions } = head
  const windows = head.pools.map((pool) => tickWindow(pool, options.tickWords ?? DEFAULT_TICK_WORDS))
  const { oracles, ticks } = await readAll(chain, block.hash, {
    oracles: withRecentRounds(head.oracles, options.recentRounds ?? DEFAULT_RECENT_ROUNDS),
    ticks: listReads(windows.map(initializedTicks)),
  })
  const { pools } = await readAll(chain, block.hash, { pools: poolStates(windows, ticks) })
  return {
    chainId: chain.chainId,
    block,
    wallet: { account, ...wallet, delegation: delegationOf(code) },
    reserves,
    oracles,
    positions,
    pools,
  }
}
