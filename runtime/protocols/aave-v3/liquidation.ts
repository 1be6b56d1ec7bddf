import type { Address } from 'viem'
import type { PositionState, ReserveState } from '../../core/snapshot.ts'
import { BPS, type Bps, bps, type TokenAmount, tokenAmount, type Wad, wad } from '../../core/units.ts'
import { InfeasibleActionError } from '../errors.ts'
import { changePosition } from './effects.ts'
import { accountData, findReserve, findReservePosition, LIQUIDATION_HEALTH_FACTOR } from './healthFactor.ts'
import { debtBalance, normalizedDebt, normalizedIncome, suppliedBalance } from './interest.ts'
import { percentDiv, percentMul, rayDiv, rayMul } from './wadRayMath.ts'

/** At or under this health factor all of a debt may be liquidated at once, above it half of it. */
export const CLOSE_FACTOR_HEALTH_FACTOR: Wad = wad(950_000_000_000_000_000n)
const HALF = bps(5_000n)

/** Which part of a debt one liquidation may repay at most. `LiquidationLogic._calculateDebt`. */
export const closeFactor = (healthFactor: Wad): Bps =>
  healthFactor > CLOSE_FACTOR_HEALTH_FACTOR ? HALF : BPS

/** What a liquidation moves. Amounts in the smallest unit of the asset. */
export type Liquidation = {
  /** Of the debt asset, from the liquidator. */
  readonly debtCovered: TokenAmount
  /** Of the collateral, to the liquidator. */
  readonly collateralSeized: TokenAmount
  /** Of the collateral, to Aave's treasury, as aTokens. */
  readonly protocolFee: TokenAmount
  /** The user's position afterwards. */
  readonly position: PositionState
}

/**
 * How much collateral covers a debt, and how much debt the collateral that is there can cover.
 * `LiquidationLogic._calculateAvailableCollateralToLiquidate`.
 *
 * @param debtToCover of the debt asset, smallest unit, already within the close factor
 * @param available of the collateral, smallest unit: all that the user has supplied
 */
export function liquidationAmounts(
  collateral: ReserveState,
  debt: ReserveState,
  debtToCover: TokenAmount,
  available: TokenAmount,
): Pick<Liquidation, 'debtCovered' | 'collateralSeized' | 'protocolFee'> {
  const collateralUnit = 10n ** BigInt(collateral.decimals)
  const debtUnit = 10n ** BigInt(debt.decimals)
  const base = (debt.price * debtToCover * collateralUnit) / (collateral.price * debtUnit)
  const withBonus = percentMul(base, collateral.liquidationBonus)
  const isClamped = withBonus > available
  const taken = isClamped ? available : withBonus
  const covered = isClamped
    ? percentDiv(
        (collateral.price * taken * debtUnit) / (debt.price * collateralUnit),
        collateral.liquidationBonus,
      )
    : debtToCover
  const bonus = taken - percentDiv(taken, collateral.liquidationBonus)
  const fee = percentMul(bonus, collateral.liquidationProtocolFee)
  return {
    debtCovered: tokenAmount(covered),
    collateralSeized: tokenAmount(taken - fee),
    protocolFee: tokenAmount(fee),
  }
}

/**
 * What `Pool.liquidationCall` (paid out in the underlying) would do in a block with that timestamp, to the wei.
 * `LiquidationLogic.executeLiquidationCall` of Aave 3.0.x.
 *
 * @param debtToCover of the debt asset, smallest unit; more than the close factor allows is cut to it
 * @throws {InfeasibleActionError} where the Pool would revert.
 */
export function projectLiquidation(
  position: PositionState,
  reserves: readonly ReserveState[],
  collateralAsset: Address,
  debtAsset: Address,
  debtToCover: TokenAmount,
  timestamp: bigint,
): Liquidation {
  const refuse = (reason: string) => new InfeasibleActionError('liquidate', reason, { user: position.user })
  const collateral = findReserve(reserves, collateralAsset)
  const debt = findReserve(reserves, debtAsset)
  if (!collateral.isActive || !debt.isActive) throw refuse('a reserve is not active')
  if (collateral.isPaused || debt.isPaused) throw refuse('a reserve is paused')
  const { healthFactor } = accountData(position, reserves, timestamp)
  if (healthFactor >= LIQUIDATION_HEALTH_FACTOR) throw refuse('the health factor is not under 1')
  const collateralPart = findReservePosition(position, collateralAsset)
  const debtPart = findReservePosition(position, debtAsset)
  if (collateral.liquidationThreshold === 0n || !collateralPart.usedAsCollateral)
    throw refuse('the asset is no collateral of the user')
  const owed = debtBalance(debtPart, debt, timestamp)
  if (owed === 0n) throw refuse('the user does not owe that asset')

  const most = percentMul(owed, closeFactor(healthFactor))
  const available = suppliedBalance(collateralPart, collateral, timestamp)
  const amounts = liquidationAmounts(
    collateral,
    debt,
    tokenAmount(debtToCover > most ? most : debtToCover),
    available,
  )
  if (amounts.collateralSeized > collateral.availableLiquidity)
    throw refuse('the reserve does not hold that much of the collateral')

  const income = normalizedIncome(collateral, timestamp)
  const burnedDebt = rayDiv(amounts.debtCovered, normalizedDebt(debt, timestamp))
  const burnedCollateral = rayDiv(amounts.collateralSeized, income)
  if (burnedDebt === 0n || burnedCollateral === 0n) throw refuse('the amount rounds to nothing')
  const left = collateralPart.scaledATokenBalance - burnedCollateral
  const wantedFee = rayDiv(amounts.protocolFee, income)
  // The Pool never moves more of a fee than what is left of the balance after rounding.
  const isFeeCut = wantedFee > left
  const protocolFee = isFeeCut ? tokenAmount(rayMul(left, income)) : amounts.protocolFee
  const scaledFee = isFeeCut ? rayDiv(protocolFee, income) : wantedFee
  const isAll = amounts.collateralSeized + amounts.protocolFee === available
  const sameAsset = collateral === debt
  const after = changePosition(
    position,
    reserves,
    [
      {
        asset: collateralAsset,
        change: {
          scaledATokenBalance: left - scaledFee,
          usedAsCollateral: !isAll,
          ...(sameAsset ? { scaledVariableDebt: debtPart.scaledVariableDebt - burnedDebt } : {}),
        },
      },
      ...(sameAsset
        ? []
        : [
            {
              asset: debtAsset,
              change: { scaledVariableDebt: debtPart.scaledVariableDebt - burnedDebt },
            },
          ]),
    ],
    timestamp,
  )
  return { ...amounts, protocolFee, position: after }
}
