import { isAddressEqual } from 'viem'
import type { Analysis } from '../../runtime/core/agent.ts'
import type { IntentOf } from '../../runtime/core/intent.ts'
import type { PositionState, Snapshot } from '../../runtime/core/snapshot.ts'
import { BPS, bps, formatUsd, formatWad, portion, tokenAmount, usdValue } from '../../runtime/core/units.ts'
import { findReserve, LIQUIDATION_HEALTH_FACTOR } from '../../runtime/protocols/aave-v3/healthFactor.ts'
import { type Liquidation, projectLiquidation } from '../../runtime/protocols/aave-v3/liquidation.ts'
import { InfeasibleActionError } from '../../runtime/protocols/errors.ts'
import type { LiquidatorParams } from './params.ts'

type Target = { readonly position: PositionState; readonly liquidation: Liquidation; readonly profit: bigint }

/**
 * Liquidates the watched position under a health factor of 1 that gains the most, as far as the wallet reaches.
 *
 * A pure function of the snapshot: gain is the collateral seized less the debt repaid, both at oracle prices, as
 * Aave's own code would pay it out in the next block.
 */
export function liquidatorSignal(
  snapshot: Snapshot,
  params: LiquidatorParams,
  nextTimestamp: bigint,
): Analysis {
  const expiresAtBlock = snapshot.block.number + params.expiryBlocks
  const targets = snapshot.positions
    .map((position) => assess(snapshot, position, params, nextTimestamp))
    .filter((target): target is Target => target !== null && target.profit > 0n)
    .sort((a, b) => (a.profit === b.profit ? 0 : a.profit > b.profit ? -1 : 1))
  const [best] = targets
  const decided = { source: 'rule', fallbackReason: null, inferenceCalls: 0, model: null } as const
  if (best === undefined)
    return {
      ...decided,
      source: 'quiet',
      proposal: { kind: 'nothing', expiresAtBlock },
      reason: 'no watched position can be liquidated at a gain',
      candidates: 0,
    }
  return {
    ...decided,
    proposal: intentFor(best, params, expiresAtBlock),
    reason: `health factor ${formatWad(best.position.account.healthFactor).slice(0, 6)}: gains ${formatUsd(best.profit)} dollars`,
    candidates: targets.length,
  }
}

function intentFor(target: Target, params: LiquidatorParams, expiresAtBlock: bigint): IntentOf<'liquidate'> {
  return {
    kind: 'liquidate',
    collateral: params.collateral,
    debt: params.debt,
    user: target.position.user,
    debtToCover: target.liquidation.debtCovered,
    minCollateralOut: portion(target.liquidation.collateralSeized, bps(BPS - params.seizeTolerance), 'down'),
    expiresAtBlock,
  }
}

/** What liquidating a position would bring; null when it cannot be liquidated. */
function assess(
  snapshot: Snapshot,
  position: PositionState,
  params: LiquidatorParams,
  timestamp: bigint,
): Target | null {
  if (position.account.healthFactor >= LIQUIDATION_HEALTH_FACTOR) return null
  const purse = snapshot.wallet.tokens.find(({ token }) => isAddressEqual(token, params.debt))?.balance ?? 0n
  if (purse === 0n) return null
  try {
    const liquidation = projectLiquidation(
      position,
      snapshot.reserves,
      params.collateral,
      params.debt,
      tokenAmount(purse),
      timestamp,
    )
    const collateral = findReserve(snapshot.reserves, params.collateral)
    const debt = findReserve(snapshot.reserves, params.debt)
    const seized = usdValue(liquidation.collateralSeized, collateral.price, collateral.decimals, 'down')
    const paid = usdValue(liquidation.debtCovered, debt.price, debt.decimals, 'up')
    return { position, liquidation, profit: seized - paid }
  } catch (error) {
    // Not liquidatable after all (a reserve is paused, interest rounds it away): nothing to gain here.
    if (error instanceof InfeasibleActionError) return null
    throw error
  }
}
