import { type Address, isAddressEqual } from 'viem'
import type { PoolState, PositionState, ReserveState, Snapshot } from '../core/snapshot.ts'
import {
  amountWorth,
  BPS,
  type Bps,
  bps,
  mulDiv,
  portion,
  type TokenAmount,
  tokenAmount,
  usd,
  usdValue,
} from '../core/units.ts'
import {
  changePosition,
  releaseCollateral,
  repayDebt,
  requireHealthyAfterRelease,
} from './aave-v3/effects.ts'
import { findReservePosition } from './aave-v3/healthFactor.ts'
import { suppliedBalance } from './aave-v3/interest.ts'
import { InfeasibleActionError } from './errors.ts'
import { InsufficientLiquidityError, QuoteOutOfRangeError, quoteExactOut } from './uniswap-v3/quote.ts'

/** A debt that is repaid out of a collateral, swapped in a pool of the two, as `FlashRepay` does it. */
export type DeleverageWay = {
  readonly snapshot: Pick<Snapshot, 'reserves' | 'block'>
  readonly position: PositionState
  readonly collateral: ReserveState
  readonly debt: ReserveState
  readonly pool: PoolState
}

/** How much more than the quote may be given. */
export type DeleverageTolerance = {
  /** The most that what is bought may be worth less than what is given for it, at oracle prices. */
  readonly slippage: Bps
  /** What the pool may take more than it says now. */
  readonly quote: Bps
  /** Where all of the collateral is less than that: whether it is then given whole, or the way is refused. */
  readonly mayGiveAll: boolean
}

/** What a bounded deleverage takes at most, and what it would leave. Amounts in the smallest unit of the collateral. */
export type BoundedDeleverage = {
  /** What the pool takes at the snapshot. */
  readonly spent: TokenAmount
  readonly maxCollateralIn: TokenAmount
  /** With all of `maxCollateralIn` gone: what Aave looks at, and what a plan may promise. */
  readonly worst: PositionState
  /** With `spent` gone. */
  expected(): PositionState
}

/**
 * The bounds of a deleverage that repays an amount: the most collateral that may be given for it, by the quote and by the
 * oracle, and what the position is then. A pure function, by the protocols' own mathematics at the snapshot's block.
 *
 * @param repayAmount in the smallest unit of the debt's asset
 * @throws {InfeasibleActionError} where the pool pays too little, the reserve holds too little or Aave would refuse.
 * @throws {QuoteOutOfRangeError | InsufficientLiquidityError} when the pool cannot give the amount.
 * @example boundDeleverage({ snapshot, position, collateral, debt, pool }, repayAmount,
 *   { slippage: bps(100n), quote: bps(50n), mayGiveAll: false }).maxCollateralIn
 */
export function boundDeleverage(
  way: DeleverageWay,
  repayAmount: TokenAmount,
  tolerance: DeleverageTolerance,
): BoundedDeleverage {
  const { snapshot, position, collateral, debt, pool } = way
  const { reserves, block } = snapshot
  const refuse = (reason: string) => new InfeasibleActionError('deleverage', reason, { repayAmount })
  const spent = quoteExactOut(pool, collateral.asset, repayAmount).amountIn
  const collateralPart = findReservePosition(position, collateral.asset)
  const debtPart = findReservePosition(position, debt.asset)
  const supplied = suppliedBalance(collateralPart, collateral, block.timestamp)
  // aTokens round to their index, so one unit more than the exact quote is needed at least.
  const tolerated = portion(spent, bps(BPS + tolerance.quote), 'up') + 1n
  // What the debt is worth must not fall short of what may be given for it by more than the slippage allowed.
  const bought = usdValue(repayAmount, debt.price, debt.decimals, 'down')
  const worth = usd(mulDiv(bought, BPS, BPS - tolerance.slippage, 'down'))
  const bearable = amountWorth(worth, collateral.price, collateral.decimals, 'down')
  if (bearable <= spent) throw refuse('the pool pays too little')
  const most = tolerated < bearable ? tolerated : bearable
  const maxCollateralIn = tokenAmount(tolerance.mayGiveAll && supplied < most ? supplied : most)
  if (maxCollateralIn <= spent) throw refuse('it takes more collateral than is there')
  if (maxCollateralIn > collateral.availableLiquidity)
    throw refuse('the reserve does not hold that much of the collateral')

  const after = (given: TokenAmount): PositionState =>
    changePosition(
      position,
      reserves,
      [
        { asset: debt.asset, change: repayDebt(debtPart, debt, repayAmount, block.timestamp).change },
        {
          asset: collateral.asset,
          change: releaseCollateral(collateralPart, collateral, given, given === supplied, block.timestamp),
        },
      ],
      block.timestamp,
    )
  // FlashRepay pulls all that may be spent before it gives the rest back, and Aave looks in between.
  const worst = after(maxCollateralIn)
  requireHealthyAfterRelease('deleverage', worst, reserves, collateral.asset)
  return { spent, maxCollateralIn, worst, expected: () => after(spent) }
}

/**
 * Whether an error of a projection says that a protocol would refuse, or that nobody can say what it would do: then the
 * way is none, and nothing is wrong.
 */
export const isInfeasible = (error: unknown): boolean =>
  error instanceof InfeasibleActionError ||
  error instanceof QuoteOutOfRangeError ||
  error instanceof InsufficientLiquidityError

/** The pools of a snapshot that trade two tokens for one another. */
export const poolsBetween = (
  { pools }: Pick<Snapshot, 'pools'>,
  a: Address,
  b: Address,
): readonly PoolState[] =>
  pools.filter(
    ({ token0, token1 }) =>
      (isAddressEqual(token0, a) && isAddressEqual(token1, b)) ||
      (isAddressEqual(token0, b) && isAddressEqual(token1, a)),
  )
