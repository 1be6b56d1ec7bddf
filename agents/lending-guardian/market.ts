import type { Address } from 'viem'
import { isAddressEqual } from 'viem'
import type {
  OracleReading,
  PoolState,
  PositionState,
  ReserveState,
  Snapshot,
} from '../../runtime/core/snapshot.ts'
import { BPS, toNumber } from '../../runtime/core/units.ts'
import { debtBalance, suppliedBalance } from '../../runtime/protocols/aave-v3/interest.ts'
import { spotPriceUsd } from '../../runtime/protocols/uniswap-v3/price.ts'

// What the market did and does, as numbers for statistics. Only operations that are exact on every machine.

/** How many of the latest returns are looked at. */
const MAX_RETURNS = 64
/** The pool's deviation from the oracle is measured in multiples of this many basis points. */
const DEVIATION_STEP_BPS = 10
/** Deviations beyond this are taken for this. */
const DEVIATION_CAP_BPS = 2_000

/** Why the prices that a position is valued at cannot be acted on. */
export type PriceProblem = 'no price' | 'a stale price' | 'a price that the market contradicts'

/**
 * The first price in doubt among those that the position is valued at, or null.
 *
 * A reserve without a feed of its own counts as one without a price: nothing tells whether its price is right.
 */
export function findPriceProblem(
  snapshot: Snapshot,
  position: PositionState,
): { readonly asset: Address; readonly problem: PriceProblem } | null {
  for (const part of position.reserves) {
    if (part.scaledATokenBalance === 0n && part.scaledVariableDebt === 0n) continue
    const { asset } = part
    const reading = findReading(snapshot.oracles, asset)
    const reserve = snapshot.reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
    if (reading === undefined || reserve === undefined || reading.price === 0n || reserve.price === 0n)
      return { asset, problem: 'no price' }
    if (reading.stale) return { asset, problem: 'a stale price' }
    if (reading.deviating) return { asset, problem: 'a price that the market contradicts' }
  }
  return null
}

const findReading = (oracles: readonly OracleReading[], asset: Address): OracleReading | undefined =>
  oracles.find((reading) => isAddressEqual(reading.asset, asset))

/**
 * What prices alone did to the health factor in the latest blocks, oldest first, in basis points rounded to one:
 * the returns of weighted collateral over debt, with today's balances held still.
 *
 * Prices come from the feeds' latest rounds, sampled once a block, each block having the last answer before it.
 * Empty where no feed's rounds were read.
 *
 * @param blockSeconds how far apart the samples are
 */
export function recentReturnsBps(
  snapshot: Snapshot,
  position: Pick<PositionState, 'reserves'>,
  blockSeconds: number,
): readonly number[] {
  const parts = position.reserves.flatMap((part) => weigh(part, snapshot))
  const now = snapshot.block.timestamp
  const oldest = parts.flatMap(({ recent }) => (recent[0] === undefined ? [] : [recent[0].updatedAt]))
  if (oldest.length === 0) return []
  // Before a feed's oldest round nothing is known, so the youngest of these is where all are known from.
  const from = oldest.reduce((youngest, time) => (time > youngest ? time : youngest))
  const returns: number[] = []
  let later: number | undefined
  for (let back = 0; back <= MAX_RETURNS; back++) {
    const time = now - BigInt(back * blockSeconds)
    if (time < from) break
    const ratio = coverAt(parts, time)
    if (ratio === null) break
    if (later !== undefined) returns.unshift(clamp(Math.round((later / ratio - 1) * 10_000), 10_000))
    later = ratio
  }
  return returns
}

type Weighed = {
  readonly collateral: number
  readonly debt: number
  /** Dollars; what it is worth where no rounds are known. */
  readonly price: number
  readonly recent: Rounds
}

function weigh(part: PositionState['reserves'][number], { reserves, oracles, block }: Snapshot): Weighed[] {
  const reserve = reserves.find((candidate) => isAddressEqual(candidate.asset, part.asset))
  if (reserve === undefined) return []
  const supplied = part.usedAsCollateral ? suppliedBalance(part, reserve, block.timestamp) : 0n
  const threshold = toNumber(reserve.liquidationThreshold, 4)
  return [
    {
      collateral: toNumber(supplied, reserve.decimals) * threshold,
      debt: toNumber(debtBalance(part, reserve, block.timestamp), reserve.decimals),
      price: toNumber(reserve.price, 8),
      recent: withoutSpikes(findReading(oracles, part.asset)?.recent ?? []),
    },
  ]
}

type Rounds = NonNullable<OracleReading['recent']>

/** An answer this far from the median of itself and its neighbours, in basis points, is taken for a spike. */
const SPIKE_BPS = 1_000n

/**
 * Answers without spikes: one that leaps by more than a tenth and is back with the next answer is replaced by the
 * median of the three (a Hampel filter over a running median of three). A single absurd answer is no volatility. A
 * fall, however steep, passes unchanged, because the middle of a falling triple is its median, and so does ordinary
 * noise.
 *
 * At the ends a neighbour is missing. The oldest answer is left out when the next leaps away from it and the one
 * after stays there: a spike that is about to leave the window looks just like that. The last has no successor yet:
 * whether it can be trusted is judged by {@link findPriceProblem}.
 */
export function withoutSpikes(rounds: Rounds): Rounds {
  const [oldest, second, third] = rounds
  const isLeft =
    oldest !== undefined &&
    second !== undefined &&
    third !== undefined &&
    isLeap(oldest.price, second.price) &&
    !isLeap(third.price, second.price)
  const kept = rounds.map((round, index) => {
    const [before, after] = [rounds[index - 1], rounds[index + 1]]
    if (before === undefined || after === undefined) return round
    const [, median] = [before.price, round.price, after.price].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    return median !== undefined && isLeap(round.price, median) ? { ...round, price: median } : round
  })
  return isLeft ? kept.slice(1) : kept
}

/** Whether a price is a spike's distance away from another. */
function isLeap(price: bigint, from: bigint): boolean {
  const distance = price > from ? price - from : from - price
  return distance * BPS > SPIKE_BPS * from
}

function coverAt(parts: readonly Weighed[], time: bigint): number | null {
  let collateral = 0
  let debt = 0
  for (const part of parts) {
    const answer = part.recent.findLast(({ updatedAt }) => updatedAt <= time)
    const price = answer === undefined ? part.price : toNumber(answer.price, 8)
    collateral += part.collateral * price
    debt += part.debt * price
  }
  return collateral > 0 && debt > 0 ? collateral / debt : null
}

/**
 * How far a pool's price of the collateral in the debt asset lies from the oracle's, in multiples of
 * {@link DEVIATION_STEP_BPS} rounded down, so that a lower pool never looks closer than it is; negative where the
 * pool's price is lower. Null where there is no such pool.
 */
export function poolDeviationBps(
  pool: PoolState | undefined,
  collateral: ReserveState,
  debt: ReserveState,
): number | null {
  if (pool === undefined) return null
  const market = spotPriceUsd(pool, collateral.asset, collateral.decimals, debt.price, debt.decimals)
  const deviation = Number(((market - collateral.price) * BPS) / collateral.price)
  return clamp(Math.floor(deviation / DEVIATION_STEP_BPS) * DEVIATION_STEP_BPS, DEVIATION_CAP_BPS)
}

/** Within ±limit, and never minus zero. */
const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value)) + 0
