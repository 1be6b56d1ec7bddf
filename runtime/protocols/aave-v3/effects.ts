import { type Address, isAddressEqual } from 'viem'
import type { PositionState, ReservePosition, ReserveState } from '../../core/snapshot.ts'
import { MAX_UINT256, type TokenAmount, tokenAmount } from '../../core/units.ts'
import { InfeasibleActionError } from '../errors.ts'
import {
  accountData,
  findReserve,
  findReservePosition,
  hasDebt,
  LIQUIDATION_HEALTH_FACTOR,
} from './healthFactor.ts'
import { debtBalance, normalizedDebt, normalizedIncome, suppliedBalance } from './interest.ts'
import { percentDiv, rayDiv } from './wadRayMath.ts'

// What each action does to a position, as the Pool would do it in a block with the given timestamp. Every
// function gives the position after it with its account data in that same block, and throws
// InfeasibleActionError where the Pool would revert. Supply and borrow caps, isolation mode, stable debt and the
// oracle sentinel are not modelled: the simulation meets them.

type Change = Partial<Omit<ReservePosition, 'asset'>>

/** A position with one part of it changed, and its account data at `timestamp`. */
export function changePosition(
  position: PositionState,
  reserves: readonly ReserveState[],
  changes: readonly { readonly asset: Address; readonly change: Change }[],
  timestamp: bigint,
): PositionState {
  let parts = position.reserves
  for (const { asset, change } of changes) {
    const changed = { ...findReservePosition({ reserves: parts }, asset), ...change }
    const known = parts.some((part) => isAddressEqual(part.asset, asset))
    parts = known
      ? parts.map((part) => (isAddressEqual(part.asset, asset) ? changed : part))
      : [...parts, changed]
  }
  const after = { ...position, reserves: parts }
  return { ...after, account: accountData(after, reserves, timestamp) }
}

/** @throws {InfeasibleActionError} for a reserve that takes part in nothing. */
function requireOpen(action: string, reserve: ReserveState, unlessFrozen: boolean): void {
  if (!reserve.isActive) throw new InfeasibleActionError(action, 'the reserve is not active')
  if (reserve.isPaused) throw new InfeasibleActionError(action, 'the reserve is paused')
  if (unlessFrozen && reserve.isFrozen) throw new InfeasibleActionError(action, 'the reserve is frozen')
}

/** `ValidationLogic.validateHFAndLtv`: what has to hold after collateral of `asset` left a position with debt. */
export function requireHealthyAfterRelease(
  action: string,
  after: PositionState,
  reserves: readonly ReserveState[],
  asset: Address,
): void {
  if (after.account.healthFactor < LIQUIDATION_HEALTH_FACTOR)
    throw new InfeasibleActionError(action, 'the health factor would end under 1', {
      healthFactor: after.account.healthFactor,
    })
  const holdsZeroLtvCollateral = after.reserves.some((part) => {
    if (!part.usedAsCollateral || part.scaledATokenBalance === 0n) return false
    const reserve = findReserve(reserves, part.asset)
    return reserve.liquidationThreshold !== 0n && reserve.ltv === 0n
  })
  if (holdsZeroLtvCollateral && findReserve(reserves, asset).ltv !== 0n)
    throw new InfeasibleActionError(action, 'a collateral with no loan to value has to be withdrawn first')
}

/**
 * The position after `Pool.supply`.
 *
 * @param amount of the asset, smallest unit
 * @throws {InfeasibleActionError}
 */
export function applySupply(
  position: PositionState,
  reserves: readonly ReserveState[],
  asset: Address,
  amount: TokenAmount,
  timestamp: bigint,
): PositionState {
  const reserve = findReserve(reserves, asset)
  requireOpen('supply', reserve, true)
  const part = findReservePosition(position, asset)
  const minted = rayDiv(amount, normalizedIncome(reserve, timestamp))
  if (minted === 0n) throw new InfeasibleActionError('supply', 'the amount rounds to nothing', { amount })
  const isFirst = part.scaledATokenBalance === 0n
  return changePosition(
    position,
    reserves,
    [
      {
        asset,
        change: {
          scaledATokenBalance: part.scaledATokenBalance + minted,
          usedAsCollateral: part.usedAsCollateral || (isFirst && reserve.ltv !== 0n),
        },
      },
    ],
    timestamp,
  )
}

/**
 * The position after `Pool.withdraw`, and what came out.
 *
 * @param amount of the asset, smallest unit; 2^256 - 1 takes everything
 * @throws {InfeasibleActionError} when it is more than is supplied or in the reserve, or would end unhealthy.
 */
export function applyWithdraw(
  position: PositionState,
  reserves: readonly ReserveState[],
  asset: Address,
  amount: TokenAmount,
  timestamp: bigint,
): { readonly position: PositionState; readonly withdrawn: TokenAmount } {
  const reserve = findReserve(reserves, asset)
  requireOpen('withdraw', reserve, false)
  const part = findReservePosition(position, asset)
  const balance = suppliedBalance(part, reserve, timestamp)
  const withdrawn = amount === MAX_UINT256 ? balance : amount
  if (withdrawn === 0n || withdrawn > balance)
    throw new InfeasibleActionError('withdraw', 'it is zero or more than is supplied', { withdrawn, balance })
  if (withdrawn > reserve.availableLiquidity)
    throw new InfeasibleActionError('withdraw', 'the reserve does not hold that much', { withdrawn })
  const after = changePosition(
    position,
    reserves,
    [{ asset, change: releaseCollateral(part, reserve, withdrawn, withdrawn === balance, timestamp) }],
    timestamp,
  )
  if (part.usedAsCollateral && hasDebt(position))
    requireHealthyAfterRelease('withdraw', after, reserves, asset)
  return { position: after, withdrawn }
}

/** What burning `amount` of aTokens does to a part of a position. */
export function releaseCollateral(
  part: ReservePosition,
  reserve: ReserveState,
  amount: TokenAmount,
  isAll: boolean,
  timestamp: bigint,
): Change {
  const burned = rayDiv(amount, normalizedIncome(reserve, timestamp))
  if (burned === 0n || burned > part.scaledATokenBalance)
    throw new InfeasibleActionError('release collateral', 'the amount rounds to nothing or to too much', {
      amount,
    })
  return {
    scaledATokenBalance: part.scaledATokenBalance - burned,
    usedAsCollateral: part.usedAsCollateral && !isAll,
  }
}

/**
 * The position after `Pool.borrow` at the variable rate.
 *
 * @param amount of the asset, smallest unit
 * @throws {InfeasibleActionError} when the reserve does not lend that, or the collateral does not cover it.
 */
export function applyBorrow(
  position: PositionState,
  reserves: readonly ReserveState[],
  asset: Address,
  amount: TokenAmount,
  timestamp: bigint,
): PositionState {
  const reserve = findReserve(reserves, asset)
  requireOpen('borrow', reserve, true)
  if (!reserve.borrowingEnabled) throw new InfeasibleActionError('borrow', 'the reserve does not lend')
  if (amount === 0n || amount > reserve.availableLiquidity)
    throw new InfeasibleActionError('borrow', 'it is zero or more than the reserve holds', { amount })
  const before = accountData(position, reserves, timestamp)
  if (before.totalCollateral === 0n || before.ltv === 0n)
    throw new InfeasibleActionError('borrow', 'there is no collateral')
  if (before.healthFactor <= LIQUIDATION_HEALTH_FACTOR)
    throw new InfeasibleActionError('borrow', 'the health factor is not above 1')
  const value = (reserve.price * amount) / 10n ** BigInt(reserve.decimals)
  if (percentDiv(before.totalDebt + value, before.ltv) > before.totalCollateral)
    throw new InfeasibleActionError('borrow', 'the collateral does not cover it', { amount })
  const part = findReservePosition(position, asset)
  const minted = rayDiv(amount, normalizedDebt(reserve, timestamp))
  if (minted === 0n) throw new InfeasibleActionError('borrow', 'the amount rounds to nothing', { amount })
  return changePosition(
    position,
    reserves,
    [{ asset, change: { scaledVariableDebt: part.scaledVariableDebt + minted } }],
    timestamp,
  )
}

/**
 * The position after `Pool.repay` of variable debt, and what was taken: never more than is owed.
 *
 * @param amount of the asset, smallest unit; 2^256 - 1 repays everything
 * @throws {InfeasibleActionError} when nothing is owed.
 */
export function applyRepay(
  position: PositionState,
  reserves: readonly ReserveState[],
  asset: Address,
  amount: TokenAmount,
  timestamp: bigint,
): { readonly position: PositionState; readonly repaid: TokenAmount } {
  const reserve = findReserve(reserves, asset)
  requireOpen('repay', reserve, false)
  const { repaid, change } = repayDebt(findReservePosition(position, asset), reserve, amount, timestamp)
  return { position: changePosition(position, reserves, [{ asset, change }], timestamp), repaid }
}

/** What repaying at most `amount` does to a part of a position. */
export function repayDebt(
  part: ReservePosition,
  reserve: ReserveState,
  amount: TokenAmount,
  timestamp: bigint,
): { readonly repaid: TokenAmount; readonly change: Change } {
  const debt = debtBalance(part, reserve, timestamp)
  if (debt === 0n) throw new InfeasibleActionError('repay', 'nothing is owed', { asset: part.asset })
  const repaid = tokenAmount(amount < debt ? amount : debt)
  const burned = rayDiv(repaid, normalizedDebt(reserve, timestamp))
  if (burned === 0n || burned > part.scaledVariableDebt)
    throw new InfeasibleActionError('repay', 'the amount rounds to nothing or to too much', { amount })
  return { repaid, change: { scaledVariableDebt: part.scaledVariableDebt - burned } }
}
