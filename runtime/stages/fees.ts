import { type Action, isRiskReducing } from '../core/intent.ts'
import type { Plan } from '../core/lifecycle.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { BPS, type Bps, mulDiv, type Wei, wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'

const GWEI = 10n ** 9n

/** A rescue pays more to be early in its block than a trade does. */
const TIP = { ordinary: wei(GWEI), riskReducing: wei(3n * GWEI) }

/** What is paid to the block's builder per unit of gas. */
export const priorityFee = (action: Action): Wei => (isRiskReducing(action) ? TIP.riskReducing : TIP.ordinary)

/** How much the base fee can rise from one block to the next at most (EIP-1559): by an eighth. */
const RISE = { numerator: 9n, denominator: 8n }

/** What a transaction pays per unit of gas at most (EIP-1559). */
export type Fees = Pick<Plan, 'maxFeePerGas' | 'maxPriorityFeePerGas'>

/** Fees that no base fee of the next blocks can be too high for, with a tip on top. */
const feesFor = (tip: Wei, { baseFeePerGas }: Pick<BlockRef, 'baseFeePerGas'>, blocks: bigint): Fees => ({
  maxFeePerGas: wei(mulDiv(baseFeePerGas, RISE.numerator ** blocks, RISE.denominator ** blocks, 'up') + tip),
  maxPriorityFeePerGas: tip,
})

/**
 * EIP-1559 fees of a plan. The cap is the highest that the base fee can be in the plan's last valid block, so that
 * fees never keep it from being mined in time; whether that is too much is judged by the gas guard. What reduces risk
 * takes what the policy lets a rescue pay, where that is less and still pays for the base fee as it is: it may be mined
 * then, and a rescue that is denied may not.
 */
export function planFees(
  action: Action,
  { block }: { readonly block: Pick<BlockRef, 'baseFeePerGas'> },
  policy: Policy,
): Fees {
  const fees = feesFor(priorityFee(action), block, BigInt(policy.lastValidBlocks))
  const most = policy.riskReducing.gas.maxFeePerGas
  const isEnough = most >= block.baseFeePerGas + fees.maxPriorityFeePerGas
  return isRiskReducing(action) && isEnough ? { ...fees, maxFeePerGas: min(fees.maxFeePerGas, most) } : fees
}

/** Fees of an empty transaction, which everything behind it waits for: it tips like a rescue, and costs little. */
export const emptyFees = (block: Pick<BlockRef, 'baseFeePerGas'>, policy: Policy): Fees =>
  feesFor(TIP.riskReducing, block, BigInt(policy.lastValidBlocks))

/** What a unit of gas will cost if the base fee stays as it is. */
export const expectedGasPrice = (action: Action, snapshot: Snapshot): Wei =>
  wei(snapshot.block.baseFeePerGas + priorityFee(action))

/**
 * Fees that take the place of others on one nonce: what is wanted, and at least `bump` above the highest of each that
 * is out there, rounded up. Real nodes refuse a replacement whose cap or tip is less than a tenth higher. Whether the
 * result is too much is judged by the gas guard.
 *
 * @example outbid(wanted, [], bump) // wanted: nothing is out there
 */
export function outbid(wanted: Fees, earlier: readonly Fees[], bump: Bps): Fees {
  const above = (pick: (fees: Fees) => Wei): Wei => {
    const highest = earlier.reduce((most, fees) => (pick(fees) > most ? pick(fees) : most), 0n)
    return max(wei(mulDiv(highest, BPS + bump, BPS, 'up')), pick(wanted))
  }
  return {
    maxFeePerGas: above((fees) => fees.maxFeePerGas),
    maxPriorityFeePerGas: above((fees) => fees.maxPriorityFeePerGas),
  }
}

const NOTHING: Fees = { maxFeePerGas: wei(0n), maxPriorityFeePerGas: wei(0n) }

/**
 * As {@link outbid}, within a cap: what is wanted gives way to it, the bump does not.
 *
 * @param cap the most that the policy lets a unit of gas cost
 * @returns null when the cap leaves no room for the bump
 */
export function outbidWithin(wanted: Fees, earlier: readonly Fees[], bump: Bps, cap: Wei): Fees | null {
  const least = outbid(NOTHING, earlier, bump)
  if (least.maxFeePerGas > cap || least.maxPriorityFeePerGas > cap) return null
  const most = outbid(wanted, earlier, bump)
  return {
    maxFeePerGas: min(most.maxFeePerGas, cap),
    maxPriorityFeePerGas: min(most.maxPriorityFeePerGas, cap),
  }
}

const max = <T extends bigint>(a: T, b: T): T => (a > b ? a : b)
const min = <T extends bigint>(a: T, b: T): T => (a < b ? a : b)
