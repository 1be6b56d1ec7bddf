import { type Address, formatEther, formatGwei, isAddressEqual } from 'viem'
import type { Plan } from '../core/lifecycle.ts'
import { findPosition } from '../core/snapshot.ts'
import { BPS, type Bps, bps, formatUsd, portion, type Usd } from '../core/units.ts'
import { deny, type EffectGuard, type GuardContext, type Ruling, rule } from './guard.ts'
import { isRescue } from './standing.ts'
import { gasAtCap } from './valuation.ts'

/** What one `liquidationCall` may repay of a debt while the health factor is above 0.95: Aave's default close factor. */
const CLOSE_FACTOR: Bps = bps(5_000n)

/**
 * Gas costs no more than the policy allows: per unit, and for the whole transaction at its fee cap. A rescue may
 * cost up to a stated part of the penalty that it avoids, when that is more than the ordinary limit. And the account
 * can pay it: what a node refuses for lack of funds has been signed by then, and keeps its nonce.
 */
export const gasCap: EffectGuard = (context, intent, plan) =>
  judgeGas(context, plan, isRescue(context, intent, plan), plan.effects.position.before.totalDebt)

/**
 * As {@link gasCap}, for a plan that was not simulated again because only its fees are new.
 *
 * @param rescue whether the limits of a rescue hold
 * @param debt of the account's own position, which is what a liquidation would penalise
 */
export function judgeGas(
  context: GuardContext,
  plan: Pick<Plan, 'gasLimit' | 'maxFeePerGas' | 'via'>,
  rescue: boolean,
  debt: Usd,
): Ruling {
  const { policy } = context
  const { maxFeePerGas } = (rescue ? policy.riskReducing : policy).gas
  if (plan.maxFeePerGas > maxFeePerGas)
    return deny('GAS_CAP', {
      limit: formatGwei(maxFeePerGas),
      observed: formatGwei(plan.maxFeePerGas),
      message: `It pays up to ${formatGwei(plan.maxFeePerGas)} gwei per gas; the limit is ${formatGwei(maxFeePerGas)}.`,
    })
  const most = plan.gasLimit * plan.maxFeePerGas
  const { native } = context.snapshot.wallet
  // A Safe pays no gas: whether its sender can is looked at where the plan is made.
  if (plan.via === undefined && !(most <= native))
    return deny('GAS_UNAFFORDABLE', {
      limit: formatEther(native),
      observed: formatEther(most),
      message: `Its gas costs up to ${formatEther(most)} of the native coin, and the account holds ${formatEther(native)}.`,
    })
  const { maxCost } = rescue ? rescueGas(context, debt) : policy.gas
  const limit = formatUsd(maxCost)
  const cost = gasAtCap(context, plan)
  if (cost === null)
    return deny('ORACLE_MISSING', {
      limit,
      observed: 'unknown',
      message: 'Without a price of the native coin nobody knows what the gas costs.',
    })
  return rule(cost <= maxCost, 'GAS_CAP', {
    limit,
    observed: formatUsd(cost),
    message: `Its gas costs up to ${formatUsd(cost)} dollars; the limit is ${limit}.`,
  })
}

/** The ordinary limit, or the stated part of the penalty that is avoided if that is higher. */
function rescueGas(context: GuardContext, debt: Usd): { readonly maxCost: Usd } {
  const { gas, riskReducing } = context.policy
  const penalty = penaltyOf(context, debt)
  const avoided = portion(penalty, riskReducing.gas.penaltyPart, 'down')
  return avoided > gas.maxCost ? { maxCost: avoided } : gas
}

/**
 * What one liquidation of the position would cost it: half of the debt, times the lowest bonus among its
 * collaterals. A liquidator would pick the highest, so this does not overstate.
 */
const penaltyOf = (context: GuardContext, debt: Usd): Usd =>
  portion(portion(debt, CLOSE_FACTOR, 'down'), lowestBonus(context), 'down')

function lowestBonus({ snapshot, account }: GuardContext): Bps {
  const position = findPosition(snapshot, account)
  const bonuses = (position?.reserves ?? [])
    .filter((reserve) => reserve.usedAsCollateral && reserve.scaledATokenBalance > 0n)
    .map((reserve) => bonusOf(snapshot.reserves, reserve.asset))
  return bps(bonuses.sort((a, b) => (a < b ? -1 : 1))[0] ?? 0n)
}

/** What a liquidator gets on top, as a fraction; none when the reserve is not in the snapshot. */
function bonusOf(reserves: GuardContext['snapshot']['reserves'], asset: Address): bigint {
  const bonus = reserves.find((reserve) => isAddressEqual(reserve.asset, asset))?.liquidationBonus ?? 0n
  return bonus > BPS ? bonus - BPS : 0n
}
