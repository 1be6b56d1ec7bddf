import { type Usd, type Wei, wei } from '../../../runtime/core/units.ts'

const GWEI = 10n ** 9n

/** The base fee of a calm chain: 15 gwei. */
export const CALM_BASE_FEE: Wei = wei(15n * GWEI)

/** The base fee at the height of a panic: 150 gwei, the order of what a transaction paid on 12 March 2020. */
export const PANIC_BASE_FEE: Wei = wei(150n * GWEI)

/** A lasting fall of this fraction per unit of time is a panic. */
const PANIC_SPEED = 0.017

/** The weight of the newest unit of time in the average speed. */
const SMOOTHING = 0.3

/** EIP-1559: a base fee moves by at most an eighth from one block to the next. */
const MAX_CHANGE_DENOMINATOR = 8n

/**
 * The base fee along a price path: calm while prices stand or rise, and the higher the faster they fall, since
 * then everybody wants to repay, sell or liquidate in the same block.
 *
 * The speed is an exponentially weighted average of the fall per unit of time. The fee aims at
 * `calm + (panic - calm) * min(1, (speed / 1.7 %)^2)` and gets there as EIP-1559 would let it, by at most an
 * eighth a block, so a fee cap chosen with the usual margin survives the next block.
 *
 * @param blocksPerUnit how many blocks a unit of time lasts: a path drawn over twice the blocks falls half as
 * fast in each, and is no calmer for it
 * @returns a function to call with the market price of each block in turn; it answers with that block's base
 * fee in wei per gas, {@link CALM_BASE_FEE} for the first
 */
export function baseFeeFollowing(blocksPerUnit: number): (price: Usd) => Wei {
  const weight = Math.min(1, SMOOTHING / blocksPerUnit)
  let before: Usd | undefined
  let speed = 0
  let fee: bigint = CALM_BASE_FEE
  return (price) => {
    const fall = before === undefined ? 0 : Number(before - price) / Number(before)
    before = price
    speed += weight * (fall * blocksPerUnit - speed)
    fee = approach(fee, targetFee(speed))
    return wei(fee)
  }
}

function targetFee(speed: number): bigint {
  const stress = Math.min(1, Math.max(0, speed) / PANIC_SPEED)
  // The stress is carried over in millionths: finer than anybody bids, and an exact integer.
  return (
    CALM_BASE_FEE +
    ((PANIC_BASE_FEE - CALM_BASE_FEE) * BigInt(Math.round(stress * stress * 1e6))) / 1_000_000n
  )
}

function approach(fee: bigint, target: bigint): bigint {
  const most = fee / MAX_CHANGE_DENOMINATOR
  if (target > fee + most) return fee + most
  if (target < fee - most) return fee - most
  return target
}
