import type { Address } from 'viem'
import { RialtoError } from '../../core/errors.ts'
import type { OracleReading } from '../../core/snapshot.ts'
import { BPS, type Bps, bps, mulDiv, USD_DECIMALS, type Usd, usd } from '../../core/units.ts'
import type { Round } from './read.ts'

/** How much trust an oracle gets. */
export type OracleTolerance = {
  /** How far the feeds of a pair may be from the pool's price of it. */
  readonly maxPoolDeviation: Bps
  /**
   * Seconds past the feed's heartbeat before an answer counts as stale: blocks and networks are late at times.
   * {@link DEFAULT_GRACE_SECONDS} if absent.
   */
  readonly graceSeconds?: bigint
}

export const DEFAULT_GRACE_SECONDS = 300n
export const DEFAULT_ORACLE_TOLERANCE: OracleTolerance = { maxPoolDeviation: bps(500n) }

/** A feed that is no US dollar feed with 8 decimals: taken for one, every price would be off by powers of ten. */
export class FeedDecimalsError extends RialtoError {
  override readonly name = 'FeedDecimalsError'
  constructor(feed: Address, decimals: number) {
    super('FEED_DECIMALS', `Chainlink feed ${feed} has ${decimals} decimals instead of ${USD_DECIMALS}.`, {
      fix: 'Put the US dollar feed of the asset into the address book.',
      details: { feed, decimals },
    })
  }
}

/** What is said of an asset's price by its feed. */
export type FeedAnswer = {
  readonly asset: Address
  readonly feed: Address
  /** Seconds between two answers at most, as the feed promises. */
  readonly heartbeat: number
  readonly round: Round
}

/** The distance of two prices, as a part of the lower one, rounded up. Prices must be positive. */
export function priceDistance(a: Usd, b: Usd): Bps {
  const [low, high] = a < b ? [a, b] : [b, a]
  return bps(mulDiv(high - low, BPS, low, 'up'))
}

/**
 * Whether an answer can be trusted at a time.
 *
 * An answer that is not positive is no price: it is given as 0 and marked stale, whatever its age. An answer from
 * the future, or of a round that was never finished, is stale too.
 *
 * @param timestamp of the block that it was read at, unix seconds
 * @param poolPrice what the reference pool says, null where there is none
 */
export function judgeReading(
  { asset, feed, heartbeat, round }: FeedAnswer,
  timestamp: bigint,
  poolPrice: Usd | null,
  tolerance: OracleTolerance,
): OracleReading {
  const isPrice = round.answer > 0n
  const price = usd(isPrice ? round.answer : 0n)
  const oldest = timestamp - BigInt(heartbeat) - (tolerance.graceSeconds ?? DEFAULT_GRACE_SECONDS)
  const isOutOfTime = round.updatedAt < oldest || round.updatedAt > timestamp || round.updatedAt === 0n
  const poolDeviation =
    poolPrice === null || poolPrice === 0n || !isPrice ? null : priceDistance(price, poolPrice)
  return {
    asset,
    feed,
    price,
    updatedAt: round.updatedAt,
    roundId: round.roundId,
    stale: !isPrice || isOutOfTime,
    poolDeviation,
    deviating: poolDeviation !== null && poolDeviation > tolerance.maxPoolDeviation,
  }
}
