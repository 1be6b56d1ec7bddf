import { type Action, isRiskReducing } from '../core/intent.ts'
import type { Plan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { BPS, type Bps, mulDiv, type Wei, wei } from '../core/units.ts'
import type { Policy } from '../guards/policy.ts'

const GWEI = 10n ** 9n

/** A rescue pays more to be early in its block than a trade does. */
const TIP = { ordinary: wei(GWEI), riskReducing: wei(3n * GWEI) }

/** What is paid to the block's builder per unit of gas. */
export const priorityFee = (action: Action): Wei => (isRiskReducing(action) ? TIP.riskReducing : TIP.ordinary)

/** How much the base fee can rise from one block to the next at most (EIP-1559): by an eighth. */
const RISE = { numerator: 9n, denominator: 8n }

/**
 * EIP-1559 fees of a plan. The cap is the highest that the base fee can be in the plan's last valid block, so that
 * fees never keep it from being mined in time; whether that is too much is judged by the gas guard.
 */
export function planFees(action: Action, snapshot: Snapshot, policy: Policy): Fees {
  const tip = priorityFee(action)
  const blocks = BigInt(policy.lastValidBlocks)
  const highest = mulDiv(
    snapshot.block.baseFeePerGas,
    RISE.numerator ** blocks,
    RISE.denominator ** blocks,
    'up',
  )
  return { maxFeePerGas: wei(highest + tip), maxPriorityFeePerGas: tip }
}

export type Fees = Pick<Plan, 'maxFeePerGas' | 'maxPriorityFeePerGas'>

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
    const least = mulDiv(highest, BPS + bump, BPS, 'up')
    return least > pick(wanted) ? wei(least) : pick(wanted)
  }
  return {
    maxFeePerGas: above((fees) => fees.maxFeePerGas),
    maxPriorityFeePerGas: above((fees) => fees.maxPriorityFeePerGas),
  }
}

/** What a unit of gas will cost if the base fee stays as it is. */
export const expectedGasPrice = (action: Action, snapshot: Snapshot): Wei =>
  wei(snapshot.block.baseFeePerGas + priorityFee(action))
