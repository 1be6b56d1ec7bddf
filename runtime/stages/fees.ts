import { type Action, isRiskReducing } from '../core/intent.ts'
import type { Plan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { type Wei, wei } from '../core/units.ts'

const GWEI = 10n ** 9n

/** A rescue pays more to be early in its block than a trade does. */
const TIP = { ordinary: wei(GWEI), riskReducing: wei(3n * GWEI) }

/** What is paid to the block's builder per unit of gas. */
export const priorityFee = (action: Action): Wei => (isRiskReducing(action) ? TIP.riskReducing : TIP.ordinary)

/**
 * EIP-1559 fees of a plan. The cap leaves room for the base fee to double: it rises by at most an eighth a
 * block, so the plan stays minable for at least five full blocks. What the cap may be is judged by the gas guard.
 */
export function planFees(
  action: Action,
  snapshot: Snapshot,
): Pick<Plan, 'maxFeePerGas' | 'maxPriorityFeePerGas'> {
  const tip = priorityFee(action)
  return { maxFeePerGas: wei(snapshot.block.baseFeePerGas * 2n + tip), maxPriorityFeePerGas: tip }
}

/** What a unit of gas will cost if the base fee stays as it is. */
export const expectedGasPrice = (action: Action, snapshot: Snapshot): Wei =>
  wei(snapshot.block.baseFeePerGas + priorityFee(action))
