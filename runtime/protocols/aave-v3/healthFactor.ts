import { type Address, isAddressEqual } from 'viem'
import type { AccountData, PositionState, ReservePosition, ReserveState } from '../../core/snapshot.ts'
import { bps, MAX_UINT256, type Usd, usd, WAD, type Wad, wad } from '../../core/units.ts'
import { NotInSnapshotError, UnsupportedPositionError } from '../errors.ts'
import { debtBalance, suppliedBalance } from './interest.ts'
import { percentMul, wadDiv } from './wadRayMath.ts'

/** Under this health factor anybody may liquidate: 1. */
export const LIQUIDATION_HEALTH_FACTOR: Wad = WAD
/** The health factor of an account without debt. */
export const NO_DEBT_HEALTH_FACTOR: Wad = wad(MAX_UINT256)

/** The reserve of an asset. @throws {NotInSnapshotError} */
export function findReserve(reserves: readonly ReserveState[], asset: Address): ReserveState {
  const reserve = reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
  if (reserve === undefined) throw new NotInSnapshotError('Aave reserve', asset)
  return reserve
}

/** The part of a position that is in one asset; an empty one where there is none. */
export function findReservePosition(
  position: Pick<PositionState, 'reserves'>,
  asset: Address,
): ReservePosition {
  const found = position.reserves.find((candidate) => isAddressEqual(candidate.asset, asset))
  return found ?? { asset, scaledATokenBalance: 0n, scaledVariableDebt: 0n, usedAsCollateral: false }
}

/**
 * The health factor of a collateral and a debt, as `GenericLogic` rounds it.
 *
 * @example healthFactor(usd(2_000n), bps(8_000n), usd(1_000n)) // 1.6
 */
export function healthFactor(collateral: Usd, liquidationThreshold: bigint, debt: Usd): Wad {
  if (debt === 0n) return NO_DEBT_HEALTH_FACTOR
  return wad(wadDiv(percentMul(collateral, liquidationThreshold), debt))
}

/**
 * What `Pool.getUserAccountData` would answer in a block with that timestamp, to the wei.
 * `GenericLogic.calculateUserAccountData` of Aave 3.0.x.
 *
 * @param position a user's scaled balances
 * @param reserves every reserve that the position touches, with the prices to value it at
 * @param timestamp seconds; not before any reserve's last update
 * @throws {NotInSnapshotError} when a reserve of the position is missing.
 * @throws {UnsupportedPositionError} for a position in efficiency mode, whose parameters are no reserve's.
 */
export function accountData(
  position: Pick<PositionState, 'user' | 'eMode' | 'reserves'>,
  reserves: readonly ReserveState[],
  timestamp: bigint,
): AccountData {
  if (position.eMode !== 0) throw new UnsupportedPositionError(position.user, 'efficiency mode')
  let collateral = 0n
  let debt = 0n
  let weightedLtv = 0n
  let weightedThreshold = 0n
  for (const part of position.reserves) {
    const isCollateral = part.usedAsCollateral && part.scaledATokenBalance !== 0n
    if (!isCollateral && part.scaledVariableDebt === 0n) continue
    const reserve = findReserve(reserves, part.asset)
    const unit = 10n ** BigInt(reserve.decimals)
    if (isCollateral && reserve.liquidationThreshold !== 0n) {
      const value = (suppliedBalance(part, reserve, timestamp) * reserve.price) / unit
      collateral += value
      weightedLtv += value * reserve.ltv
      weightedThreshold += value * reserve.liquidationThreshold
    }
    debt += (debtBalance(part, reserve, timestamp) * reserve.price) / unit
  }
  const ltv = collateral === 0n ? 0n : weightedLtv / collateral
  const threshold = collateral === 0n ? 0n : weightedThreshold / collateral
  const borrowable = percentMul(collateral, ltv)
  return {
    totalCollateral: usd(collateral),
    totalDebt: usd(debt),
    availableBorrows: usd(borrowable < debt ? 0n : borrowable - debt),
    liquidationThreshold: bps(threshold),
    ltv: bps(ltv),
    healthFactor: healthFactor(usd(collateral), threshold, usd(debt)),
  }
}

/**
 * Whether the mathematics here reproduces what the Pool itself said about a position. It does not for a user who
 * has parts in reserves that were not read, a stable debt, or efficiency mode: nothing should be projected then.
 *
 * @param timestamp of the block that the position was read at
 */
export function isModelled(
  position: PositionState,
  reserves: readonly ReserveState[],
  timestamp: bigint,
): boolean {
  if (position.eMode !== 0) return false
  const own = accountData(position, reserves, timestamp)
  const theirs = position.account
  return (
    own.totalCollateral === theirs.totalCollateral &&
    own.totalDebt === theirs.totalDebt &&
    own.healthFactor === theirs.healthFactor
  )
}

/** Whether the account has any variable debt. */
export const hasDebt = (position: Pick<PositionState, 'reserves'>): boolean =>
  position.reserves.some((part) => part.scaledVariableDebt !== 0n)
