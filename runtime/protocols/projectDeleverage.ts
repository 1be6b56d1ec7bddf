import { type Address, isAddressEqual } from 'viem'
import { findPosition, type PositionState, type Snapshot } from '../core/snapshot.ts'
import { type TokenAmount, tokenAmount, type Wad } from '../core/units.ts'
import {
  changePosition,
  releaseCollateral,
  repayDebt,
  requireHealthyAfterRelease,
} from './aave-v3/effects.ts'
import {
  accountData,
  findReserve,
  findReservePosition,
  LIQUIDATION_HEALTH_FACTOR,
} from './aave-v3/healthFactor.ts'
import { debtBalance, suppliedBalance } from './aave-v3/interest.ts'
import { InfeasibleActionError, NotInSnapshotError } from './errors.ts'
import {
  InsufficientLiquidityError,
  isZeroForOne,
  type Quote,
  QuoteOutOfRangeError,
  quoteExactOut,
} from './uniswap-v3/quote.ts'
import { FEE_UNIT } from './uniswap-v3/swapMath.ts'

/** A way to repay debt out of collateral. */
export type DeleverageRoute = {
  readonly user: Address
  readonly collateral: Address
  readonly debt: Address
  /** The Uniswap pool of the two. */
  readonly pool: Address
  /** When it happens, unix seconds; the snapshot's own time if absent. */
  readonly timestamp?: bigint
}

/** What a deleverage would do. Amounts in the smallest unit of the asset. */
export type DeleverageProjection = {
  /** Of the collateral, for the swap. */
  readonly collateralIn: TokenAmount
  /** Of the debt: what was bought, or all that was owed if that is less. */
  readonly repaid: TokenAmount
  /** Of the debt asset: bought and not owed, to the wallet. */
  readonly excess: TokenAmount
  readonly quote: Quote
  /** Afterwards, in the same block; `position.account` is what the Pool will answer. */
  readonly position: PositionState
}

function parts(snapshot: Snapshot, route: DeleverageRoute) {
  const position = findPosition(snapshot, route.user)
  if (position === undefined) throw new NotInSnapshotError('position of', route.user)
  const pool = snapshot.pools.find((candidate) => isAddressEqual(candidate.address, route.pool))
  if (pool === undefined) throw new NotInSnapshotError('Uniswap pool', route.pool)
  const timestamp = route.timestamp ?? snapshot.block.timestamp
  const collateral = findReserve(snapshot.reserves, route.collateral)
  const debt = findReserve(snapshot.reserves, route.debt)
  return { position, pool, timestamp, collateral, debt }
}

/** Everything but Aave's last check, which is on the health factor. */
function project(snapshot: Snapshot, route: DeleverageRoute, repayAmount: TokenAmount): DeleverageProjection {
  const { position, pool, timestamp, collateral, debt } = parts(snapshot, route)
  const refuse = (reason: string) => new InfeasibleActionError('deleverage', reason, { repayAmount })
  for (const { isActive, isPaused } of [collateral, debt])
    if (!isActive || isPaused) throw refuse('a reserve is not active or is paused')

  const quote = quoteExactOut(pool, route.collateral, repayAmount)
  const collateralIn = quote.amountIn
  const supplied = findReservePosition(position, route.collateral)
  const balance = suppliedBalance(supplied, collateral, timestamp)
  if (collateralIn > balance) throw refuse('it takes more than all of the collateral')
  if (collateralIn > collateral.availableLiquidity) throw refuse('the reserve does not hold that much')

  const { repaid, change } = repayDebt(
    findReservePosition(position, route.debt),
    debt,
    repayAmount,
    timestamp,
  )
  const released = releaseCollateral(supplied, collateral, collateralIn, collateralIn === balance, timestamp)
  const after = changePosition(
    position,
    snapshot.reserves,
    [
      { asset: route.debt, change },
      { asset: route.collateral, change: released },
    ],
    timestamp,
  )
  return { collateralIn, repaid, excess: tokenAmount(repayAmount - repaid), quote, position: after }
}

/**
 * What `FlashRepay` would do with a repayment, to the wei, in a block with the route's timestamp in which the
 * pool and the prices are those of the snapshot.
 *
 * @throws {InfeasibleActionError} where Aave would refuse: the collateral does not suffice, or the health factor
 * would end under 1.
 * @throws {QuoteOutOfRangeError | InsufficientLiquidityError} when the pool cannot give the amount.
 * @throws {NotInSnapshotError} when the position, a reserve or the pool was not watched.
 */
export function projectDeleverage(
  snapshot: Snapshot,
  route: DeleverageRoute,
  repayAmount: TokenAmount,
): DeleverageProjection {
  const projection = project(snapshot, route, repayAmount)
  requireHealthyAfterRelease('deleverage', projection.position, snapshot.reserves, route.collateral)
  return projection
}

/** The same, or null where it is not possible. */
function tryProject(
  snapshot: Snapshot,
  route: DeleverageRoute,
  repayAmount: bigint,
): DeleverageProjection | null {
  try {
    return project(snapshot, route, tokenAmount(repayAmount))
  } catch (error) {
    const isImpossible =
      error instanceof InfeasibleActionError ||
      error instanceof QuoteOutOfRangeError ||
      error instanceof InsufficientLiquidityError
    if (isImpossible) return null
    throw error
  }
}

/** The greatest integer in [low, high] for which a monotone predicate holds that holds at `low`. */
function lastThat(low: bigint, high: bigint, holds: (value: bigint) => boolean): bigint {
  let [yes, no] = [low, high + 1n]
  while (no - yes > 1n) {
    const middle = (yes + no) / 2n
    if (holds(middle)) yes = middle
    else no = middle
  }
  return yes
}

/**
 * The smallest repayment that brings the health factor to a target, and what it does; null when none does.
 *
 * The health factor first rises with the repayment, and falls again once the pool's price has become so bad that
 * a unit of debt costs more collateral than the account has for each unit it owes. So the search is over the
 * rising part alone, by bisection in whole units.
 *
 * @param target 18 decimals; Aave does not let a deleverage end under 1, so less than that counts as 1
 * @throws {NotInSnapshotError} when the position, a reserve or the pool was not watched.
 * @example repayForHealthFactor(snapshot, route, parseDecimal('1.25', 18))?.repaid
 */
export function repayForHealthFactor(
  snapshot: Snapshot,
  route: DeleverageRoute,
  target: Wad,
): (DeleverageProjection & { readonly repayAmount: TokenAmount }) | null {
  const { position, pool, timestamp, collateral, debt } = parts(snapshot, route)
  const owed = debtBalance(findReservePosition(position, route.debt), debt, timestamp)
  if (owed === 0n || accountData(position, snapshot.reserves, timestamp).healthFactor >= target) return null
  // Aave lets no collateral go that leaves the account under 1.
  const goal = target > LIQUIDATION_HEALTH_FACTOR ? target : LIQUIDATION_HEALTH_FACTOR
  // The least that is not lost in rounding: one unit may burn no scaled debt, or swap nothing.
  const smallest = firstPossible(snapshot, route, owed)
  if (smallest === null) return null

  const zeroForOne = isZeroForOne(pool, route.collateral)
  const collateralUnit = 10n ** BigInt(collateral.decimals)
  const debtUnit = 10n ** BigInt(debt.decimals)
  /** Whether one more unit repaid still raises the health factor: its cost is under collateral / debt. */
  const isRising = ({ quote, position: after }: DeleverageProjection): boolean => {
    const squared = quote.sqrtPriceAfter ** 2n
    const [paid, got] = zeroForOne ? [1n << 192n, squared] : [squared, 1n << 192n]
    const cost = collateral.price * paid * FEE_UNIT * debtUnit
    const worth = debt.price * got * (FEE_UNIT - BigInt(pool.fee)) * collateralUnit
    return after.account.totalCollateral * worth > cost * after.account.totalDebt
  }
  const most = lastThat(smallest, owed, (amount) => {
    const projection = tryProject(snapshot, route, amount)
    return projection !== null && isRising(projection)
  })
  const reaches = (amount: bigint): boolean => {
    const projection = tryProject(snapshot, route, amount)
    return projection !== null && projection.position.account.healthFactor >= goal
  }
  if (!reaches(most)) return null
  const least = reaches(smallest) ? smallest : lastThat(smallest, most, (amount) => !reaches(amount)) + 1n
  const repayAmount = tokenAmount(least)
  return { ...projectDeleverage(snapshot, route, repayAmount), repayAmount }
}

/** The smallest repayment that is possible at all; null when not even small ones are. */
function firstPossible(snapshot: Snapshot, route: DeleverageRoute, owed: bigint): bigint | null {
  for (let amount = 1n; amount <= owed; amount *= 10n)
    if (tryProject(snapshot, route, amount) !== null) return amount
  return null
}
