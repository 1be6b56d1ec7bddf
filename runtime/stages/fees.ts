import { type Action, isRiskReducing } from '../core/intent.ts'
import type { Plan } from '../core/lifecycle.ts'
import type { Snapshot } from '../core/snapshot.ts'
import { mulDiv, type Wei, wei } from '../core/units.ts'
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
export function planFees(
  action: Action,
  snapshot: Snapshot,
  policy: Policy,
): Pick<Plan, 'maxFeePerGas' | 'maxPriorityFeePerGas'> {
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

/** What a unit of gas will cost if the base fee stays as it is. */
export const expectedGasPrice = (action: Action, snapshot: Snapshot): Wei =>
  wei(snapshot.block.baseFeePerGas + priorityFee(action))
