import { isAddressEqual } from 'viem'
import type { PoolState, PositionState, ReserveState, Snapshot } from '../../runtime/core/snapshot.ts'
import { mulDiv, type Usd, usd, usdValue, type Wad } from '../../runtime/core/units.ts'
import { findReserve, isModelled } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { debtBalance, suppliedBalance } from '../../runtime/protocols/aave-v3/interest.ts'
import { poolsBetween } from '../../runtime/protocols/boundDeleverage.ts'
import { findPriceProblem, poolDeviationBps, recentReturnsBps } from './market.ts'
import type { GuardianSettings } from './options.ts'

/** All that the guardian goes by: the snapshot's facts about one position, none of them in doubt. */
export type Scene = {
  readonly snapshot: Snapshot
  readonly position: PositionState
  readonly healthFactor: Wad
  /** Collateral less debt at oracle prices. */
  readonly equity: Usd
  /** The reserve with the most collateral, and the one with the most debt. */
  readonly collateral: ReserveState
  readonly debt: ReserveState
  /** What prices did to this position's health factor, and to that of anyone with this collateral and this debt alone. */
  readonly returnsBps: readonly number[]
  readonly marketReturnsBps: readonly number[]
  readonly poolDeviationBps: number | null
  /** What a unit of gas costs, in dollars with 8 + 18 decimals: dollars per ether times wei. */
  readonly gasPrice: bigint
}

/** Why there is nothing to decide, as one line for a person. */
export type Obstacle = { readonly obstacle: string }

/**
 * Gathers the facts, or says why the position cannot be acted on: a price in doubt, or a position that the
 * protocols' mathematics does not reproduce and so cannot project.
 */
export function gather(
  snapshot: Snapshot,
  position: PositionState,
  settings: GuardianSettings,
): Scene | Obstacle {
  const doubt = findPriceProblem(snapshot, position)
  if (doubt !== null) {
    const symbol =
      snapshot.reserves.find(({ asset }) => isAddressEqual(asset, doubt.asset))?.symbol ?? doubt.asset
    return { obstacle: `${symbol} has ${doubt.problem}, and a price that cannot be trusted is not acted on` }
  }
  const native = snapshot.reserves.find(({ asset }) => isAddressEqual(asset, settings.wrappedNative))
  if (native === undefined || native.price === 0n)
    return { obstacle: 'the native coin has no price, so gas cannot be weighed' }
  if (!isModelled(position, snapshot.reserves, snapshot.block.timestamp))
    return {
      obstacle:
        "the position is not what the protocol's mathematics makes of it (e-mode, or reserves not watched)",
    }
  const collateral = largest(snapshot, position, 'supplied')
  const debt = largest(snapshot, position, 'owed')
  if (collateral === undefined || debt === undefined) return { obstacle: 'there is no collateral or no debt' }

  const { totalCollateral, totalDebt, healthFactor } = position.account
  return {
    snapshot,
    position,
    healthFactor,
    equity: usd(totalCollateral > totalDebt ? totalCollateral - totalDebt : 0n),
    collateral,
    debt,
    returnsBps: recentReturnsBps(snapshot, position, settings.blockSeconds),
    marketReturnsBps: recentReturnsBps(snapshot, onlyPair(collateral, debt), settings.blockSeconds),
    poolDeviationBps: poolDeviationBps(deepestPool(snapshot, collateral, debt), collateral, debt),
    gasPrice: (snapshot.block.baseFeePerGas + settings.priorityFee) * native.price,
  }
}

/** One whole token of each. */
const onlyPair = (collateral: ReserveState, debt: ReserveState): Pick<PositionState, 'reserves'> => ({
  reserves: [
    {
      asset: collateral.asset,
      scaledATokenBalance: 10n ** BigInt(collateral.decimals),
      scaledVariableDebt: 0n,
      usedAsCollateral: true,
    },
    {
      asset: debt.asset,
      scaledATokenBalance: 0n,
      scaledVariableDebt: 10n ** BigInt(debt.decimals),
      usedAsCollateral: false,
    },
  ],
})

/** What that much gas costs, rounded up. */
export const gasCost = (scene: Scene, gas: bigint): Usd => usd(mulDiv(scene.gasPrice, gas, 10n ** 18n, 'up'))

function largest(
  { reserves, block }: Snapshot,
  position: PositionState,
  side: 'supplied' | 'owed',
): ReserveState | undefined {
  let found: { reserve: ReserveState; value: bigint } | undefined
  for (const part of position.reserves) {
    if (part.scaledATokenBalance === 0n && part.scaledVariableDebt === 0n) continue
    const reserve = findReserve(reserves, part.asset)
    const counts = side === 'owed' || (part.usedAsCollateral && reserve.liquidationThreshold > 0n)
    if (!counts) continue
    const balance = side === 'owed' ? debtBalance : suppliedBalance
    const value = usdValue(balance(part, reserve, block.timestamp), reserve.price, reserve.decimals, 'down')
    if (value > (found?.value ?? 0n)) found = { reserve, value }
  }
  return found?.reserve
}

/** The pools of two assets, in the snapshot's order. */
export const poolsOf = (snapshot: Snapshot, a: ReserveState, b: ReserveState): readonly PoolState[] =>
  poolsBetween(snapshot, a.asset, b.asset)

const deepestPool = (snapshot: Snapshot, a: ReserveState, b: ReserveState): PoolState | undefined =>
  poolsOf(snapshot, a, b).reduce<PoolState | undefined>(
    (deepest, pool) => (deepest === undefined || pool.liquidity > deepest.liquidity ? pool : deepest),
    undefined,
  )
