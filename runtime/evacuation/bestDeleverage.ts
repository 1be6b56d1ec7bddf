import { type Address, isAddressEqual } from 'viem'
import type { PoolState, PositionState, ReserveState, Snapshot } from '../core/snapshot.ts'
import { BPS, mulDiv, type TokenAmount, tokenAmount, type Usd, usdValue, type Wad } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'
import { findReserve } from '../protocols/aave-v3/healthFactor.ts'
import {
  boundDeleverage,
  type DeleverageWay,
  isInfeasible,
  poolsBetween,
} from '../protocols/boundDeleverage.ts'
import { InfeasibleActionError } from '../protocols/errors.ts'
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
    poolsBetween(snapshot, collateral.asset, debt.asset).flatMap((pool) => {
      const largest = largestPart({ snapshot, position, debt, collateral, pool, bounds })
      return largest === null ? [] : [largest]
    }),
  )
  return found.toSorted((a, b) => (a.worth > b.worth ? -1 : 1))[0] ?? null
}

type Way = DeleverageWay & { readonly bounds: DeleverageBounds }

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
    if (isInfeasible(error)) return null
    throw error
  }
}

function project(
  { bounds, ...way }: Way,
  repayAmount: TokenAmount,
): Omit<FeasibleDeleverage, 'isAll' | 'worth'> {
  const { collateral, debt, pool } = way
  const refuse = (reason: string) => new InfeasibleActionError('deleverage', reason, { repayAmount })
  const { slippage } = bounds.policy
  for (const { isActive, isPaused } of [collateral, debt])
    if (!isActive || isPaused) throw refuse('a reserve is not active or is paused')
  const { spent, maxCollateralIn, worst } = boundDeleverage(way, repayAmount, {
    slippage: slippage.oracle,
    quote: slippage.pool,
    mayGiveAll: true,
  })
  const promisedByPool = atPrice(pool, collateral.asset, spent)
  if ((promisedByPool - repayAmount) * BPS > slippage.pool * promisedByPool)
    throw refuse('the pool gives too much less than its price')
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
