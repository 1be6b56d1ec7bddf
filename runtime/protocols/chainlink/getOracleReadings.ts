import { type Address, isAddressEqual } from 'viem'
import type { AddressBook, PoolKey } from '../../core/addressBook.ts'
import type { Chain } from '../../core/ports.ts'
import type { BlockRef, OracleReading } from '../../core/snapshot.ts'
import { USD_DECIMALS, type Usd, usd } from '../../core/units.ts'
import { feedOf, tokenOf } from '../book.ts'
import { combineReads, listReads, mapGroup, type ReadGroup, readAll } from '../read.ts'
import { spotPriceUsd } from '../uniswap-v3/price.ts'
import { slot0 } from '../uniswap-v3/read.ts'
import {
  DEFAULT_ORACLE_TOLERANCE,
  type FeedAnswer,
  FeedDecimalsError,
  judgeReading,
  type OracleTolerance,
} from './judgeReading.ts'
import { feedDecimals, latestRound, roundData } from './read.ts'

/**
 * The pool that an asset's feed is compared with: the first in the book that holds it together with another
 * asset that has a feed. Which of the two feeds is wrong, if they disagree with the pool, it cannot tell, so
 * both are marked.
 */
function referencePool(book: AddressBook, asset: Address): { pool: PoolKey; other: Address } | undefined {
  for (const pool of book.uniswapV3.pools) {
    const isToken0 = isAddressEqual(pool.token0, asset)
    if (!isToken0 && !isAddressEqual(pool.token1, asset)) continue
    const other = isToken0 ? pool.token1 : pool.token0
    if (book.chainlink.some((feed) => isAddressEqual(feed.asset, other))) return { pool, other }
  }
  return undefined
}

function feedAnswer(book: AddressBook, asset: Address): ReadGroup<FeedAnswer> {
  const { feed, heartbeat } = feedOf(book, asset)
  const group = combineReads({ decimals: feedDecimals(feed), round: latestRound(feed) })
  return mapGroup(group, ({ decimals, round }) => {
    if (decimals !== USD_DECIMALS) throw new FeedDecimalsError(feed, decimals)
    return { asset, feed, heartbeat, round }
  })
}

/** What the feed and the reference pool of one asset say. */
function oracleReading(
  book: AddressBook,
  asset: Address,
  timestamp: bigint,
  tolerance: OracleTolerance,
): ReadGroup<OracleReading> {
  const own = feedAnswer(book, asset)
  const reference = referencePool(book, asset)
  if (reference === undefined)
    return mapGroup(own, (answer) => judgeReading(answer, timestamp, null, tolerance))
  const { pool, other } = reference
  const group = combineReads({ own, other: feedAnswer(book, other), slot: slot0(pool.address) })
  return mapGroup(group, (values) => {
    const otherAnswer = values.other.round.answer
    const poolPrice: Usd | null =
      otherAnswer > 0n && values.slot.sqrtPriceX96 > 0n
        ? spotPriceUsd(
            { ...pool, sqrtPriceX96: values.slot.sqrtPriceX96 },
            asset,
            tokenOf(book, asset).decimals,
            usd(otherAnswer),
            tokenOf(book, other).decimals,
          )
        : null
    return judgeReading(values.own, timestamp, poolPrice, tolerance)
  })
}

/** The readings of several assets, in their order, as one group of reads. */
export const oracleReadings = (
  book: AddressBook,
  assets: readonly Address[],
  timestamp: bigint,
  tolerance: OracleTolerance = DEFAULT_ORACLE_TOLERANCE,
): ReadGroup<readonly OracleReading[]> =>
  listReads(assets.map((asset) => oracleReading(book, asset, timestamp, tolerance)))

/** Rounds of each feed that are read besides the latest. */
export const DEFAULT_RECENT_ROUNDS = 64

/** A proxy's round id is the aggregator's own id under the number of the aggregator. */
const AGGREGATOR_ROUND_BITS = 64

/**
 * The same readings with their feeds' answers before them, as one group of reads.
 *
 * Only rounds of the feed's present aggregator are asked for, and those without an answer are left out.
 *
 * @param rounds how many rounds before the latest
 */
export const withRecentRounds = (
  readings: readonly OracleReading[],
  rounds: number,
): ReadGroup<readonly OracleReading[]> =>
  listReads(
    readings.map((reading) => {
      const own = BigInt.asUintN(AGGREGATOR_ROUND_BITS, reading.roundId)
      const count = own > BigInt(rounds) ? rounds : Math.max(Number(own) - 1, 0)
      const ids = Array.from({ length: count }, (_, index) => reading.roundId - BigInt(count - index))
      const group = listReads(ids.map((id) => roundData(reading.feed, id)))
      return mapGroup(group, (earlier) => ({
        ...reading,
        recent: [...earlier, { answer: reading.price, updatedAt: reading.updatedAt }].flatMap((round) =>
          round === null || round.answer <= 0n
            ? []
            : [{ price: usd(round.answer), updatedAt: round.updatedAt }],
        ),
      }))
    }),
  )

/**
 * What Chainlink says of the prices of assets at a block, and whether it can be trusted, with one `Chain.read`.
 * {@link withRecentRounds} adds what it said before.
 *
 * @throws {NotInAddressBookError} for an asset without a feed in the book.
 * @throws {FeedDecimalsError} for a feed that is no US dollar feed.
 * @throws {ReadFailedError} naming what could not be read.
 */
export async function getOracleReadings(
  chain: Chain,
  block: Pick<BlockRef, 'hash' | 'timestamp'>,
  book: AddressBook,
  assets: readonly Address[],
  tolerance: OracleTolerance = DEFAULT_ORACLE_TOLERANCE,
): Promise<readonly OracleReading[]> {
  const group = oracleReadings(book, assets, block.timestamp, tolerance)
  return (await readAll(chain, block.hash, { readings: group })).readings
}
