import { type Address, isAddressEqual } from 'viem'
import type { PoolState, PositionState, ReserveState, Snapshot } from '../core/snapshot.ts'
import {
  amountWorth,
  BPS,
  bps,
  mulDiv,
  portion,
  type TokenAmount,
  tokenAmount,
  type Usd,
  usd,
  usdValue,
  type Wad,
} from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import {
  changePosition,
  releaseCollateral,
  repayDebt,
  requireHealthyAfterRelease,
} from '../protocols/aave-v3/effects.ts'
import { findReserve, findReservePosition } from '../protocols/aave-v3/healthFactor.ts'
import { suppliedBalance } from '../protocols/aave-v3/interest.ts'
import { InfeasibleActionError } from '../protocols/errors.ts'
import {
  InsufficientLiquidityError,
  QuoteOutOfRangeError,
  quoteExactOut,
} from '../protocols/uniswap-v3/quote.ts'
import { promised } from './promised.ts'

/** A deleverage that protocols and policy let happen. */
export type FeasibleDeleverage = {
  readonly collateral: ReserveState
  readonly pool: Address
  readonly repayAmount: TokenAmount
  readonly maxCollateralIn: TokenAmount
  readonly minHealthFactor: Wad
  /** Whether no debt of the asset is left. */
  readonly isAll: boolean
  /** What is repaid, in dollars. */
  readonly worth: Usd
}

export type DeleverageBounds = {
  /** What leaves no debt behind, in its smallest unit. */
  readonly all: TokenAmount
  /** A part that is worth less than this is not worth its gas. */
  readonly least: Usd
  readonly policy: Policy
}

/** One that does not go over the whole debt is tried in these parts of it, the largest first. */
const PARTS = 100

/**
 * The deleverage that repays most of a debt, over every collateral and pool: all of it where that is within the policy's
 * slippage, against the oracle and against the pool's own price, else the largest whole per cent. Null where there is none.
 *
 * A pure function; the projection is the protocols' own mathematics at the snapshot's block.
 */
export function bestDeleverage(
  snapshot: Snapshot,
  position: PositionState,
  debt: ReserveState,
  bounds: DeleverageBounds,
): FeasibleDeleverage | null {
  const collaterals = position.reserves
    .filter((part) => part.usedAsCollateral && part.scaledATokenBalance > 0n)
    .map((part) => findReserve(snapshot.reserves, part.asset))
  const found = collaterals.flatMap((collateral) =>
    poolsOf(snapshot, collateral.asset, debt.asset).flatMap((pool) => {
      const largest = largestPart({ snapshot, position, debt, collateral, pool, bounds })
      return largest === null ? [] : [largest]
    }),
  )
  return found.toSorted((a, b) => (a.worth > b.worth ? -1 : 1))[0] ?? null
}

const poolsOf = ({ pools }: Snapshot, a: Address, b: Address): readonly PoolState[] =>
  pools.filter(
    ({ token0, token1 }) =>
      (isAddressEqual(token0, a) && isAddressEqual(token1, b)) ||
      (isAddressEqual(token0, b) && isAddressEqual(token1, a)),
  )

type Way = {
  readonly snapshot: Snapshot
  readonly position: PositionState
  readonly debt: ReserveState
  readonly collateral: ReserveState
  readonly pool: PoolState
  readonly bounds: DeleverageBounds
}

function largestPart(way: Way): FeasibleDeleverage | null {
  const { all, least } = way.bounds
  for (let part = PARTS; part >= 1; part--) {
    const amount = tokenAmount(mulDiv(all, BigInt(part), BigInt(PARTS), 'down'))
    const worth = usdValue(amount, way.debt.price, way.debt.decimals, 'down')
    const isAll = part === PARTS
    if (amount === 0n || (!isAll && worth < least)) return null
    const found = tryAmount(way, amount)
    if (found !== null) return { ...found, isAll, worth }
  }
  return null
}

/** Null where a protocol would refuse, cannot say what it would do, or a bound does not hold. */
function tryAmount(way: Way, repayAmount: TokenAmount): Omit<FeasibleDeleverage, 'isAll' | 'worth'> | null {
  try {
    return project(way, repayAmount)
  } catch (error) {
    const isRefusal =
      error instanceof InfeasibleActionError ||
      error instanceof QuoteOutOfRangeError ||
      error instanceof InsufficientLiquidityError
    if (isRefusal) return null
    throw error
  }
}

function project(
  { snapshot, position, debt, collateral, pool, bounds }: Way,
  repayAmount: TokenAmount,
): Omit<FeasibleDeleverage, 'isAll' | 'worth'> {
  const refuse = (reason: string) => new InfeasibleActionError('deleverage', reason, { repayAmount })
  const { reserves, block } = snapshot
  const { slippage } = bounds.policy
  for (const { isActive, isPaused } of [collateral, debt])
    if (!isActive || isPaused) throw refuse('a reserve is not active or is paused')
  const spent = quoteExactOut(pool, collateral.asset, repayAmount).amountIn
  const promisedByPool = atPrice(pool, collateral.asset, spent)
  if ((promisedByPool - repayAmount) * BPS > slippage.pool * promisedByPool)
    throw refuse('the pool gives too much less than its price')
  // What is bought must not be worth less than what may be given for it by more than the slippage allowed.
  const bought = usdValue(repayAmount, debt.price, debt.decimals, 'down')
  const bearable = amountWorth(
    usd(mulDiv(bought, BPS, BPS - slippage.oracle, 'down')),
    collateral.price,
    collateral.decimals,
    'down',
  )
  const part = findReservePosition(position, collateral.asset)
  const supplied = suppliedBalance(part, collateral, block.timestamp)
  // aTokens round to their index, so one unit more than the exact quote is needed at least.
  const tolerated = portion(spent, bps(BPS + slippage.pool), 'up') + 1n
  const maxCollateralIn = tokenAmount([tolerated, bearable, supplied].reduce((a, b) => (a < b ? a : b)))
  if (maxCollateralIn <= spent) throw refuse('it takes more collateral than may be given or is there')
  if (maxCollateralIn > collateral.availableLiquidity) throw refuse('the reserve does not hold that much')
  // FlashRepay pulls all that may be spent before it gives the rest back, and Aave looks in between.
  const { change } = repayDebt(findReservePosition(position, debt.asset), debt, repayAmount, block.timestamp)
  const released = releaseCollateral(
    part,
    collateral,
    maxCollateralIn,
    maxCollateralIn === supplied,
    block.timestamp,
  )
  const worst = changePosition(
    position,
    reserves,
    [
      { asset: debt.asset, change },
      { asset: collateral.asset, change: released },
    ],
    block.timestamp,
  )
  requireHealthyAfterRelease('deleverage', worst, reserves, collateral.asset)
  return {
    collateral,
    pool: pool.address,
    repayAmount,
    maxCollateralIn,
    minHealthFactor: promised(worst.account.healthFactor, bounds.policy),
  }
}

/** Uniswap's prices are the square of a number with 96 binary digits after the point. */
const Q192 = 2n ** 192n

/** What an amount would bring at the pool's price, without fee or impact, rounded up: as the guard on it counts. */
function atPrice(pool: PoolState, tokenIn: Address, amount: bigint): bigint {
  const square = pool.sqrtPriceX96 * pool.sqrtPriceX96
  return isAddressEqual(tokenIn, pool.token0)
    ? mulDiv(amount, square, Q192, 'up')
    : mulDiv(amount, Q192, square, 'up')
}
