import { mulDiv } from '../../core/units.ts'
import {
  getAmount0Delta,
  getAmount1Delta,
  getNextSqrtPriceFromInput,
  getNextSqrtPriceFromOutput,
} from './sqrtPriceMath.ts'

/** Hundredths of a basis point in one. */
export const FEE_UNIT = 1_000_000n

/** One stretch of a swap, within which the liquidity is constant. Amounts in smallest units. */
export type SwapStep = {
  readonly sqrtPriceX96: bigint
  readonly amountIn: bigint
  readonly amountOut: bigint
  readonly feeAmount: bigint
}

/**
 * Swaps towards a target price with what is left of the amount. `SwapMath.computeSwapStep` of v3-core 1.0.1.
 *
 * @param current square root of the price, 96 fractional bits
 * @param target where to stop at the latest; under `current` token0 goes in, else token1
 * @param remaining what is left to swap, of the input if `exactIn`, else of the output
 * @param fee hundredths of a basis point
 */
export function computeSwapStep(
  current: bigint,
  target: bigint,
  liquidity: bigint,
  remaining: bigint,
  exactIn: boolean,
  fee: bigint,
): SwapStep {
  const zeroForOne = current >= target
  const input = (to: bigint) =>
    zeroForOne ? getAmount0Delta(to, current, liquidity, 'up') : getAmount1Delta(current, to, liquidity, 'up')
  const output = (to: bigint) =>
    zeroForOne
      ? getAmount1Delta(to, current, liquidity, 'down')
      : getAmount0Delta(current, to, liquidity, 'down')

  if (exactIn) {
    const lessFee = mulDiv(remaining, FEE_UNIT - fee, FEE_UNIT, 'down')
    const toTarget = input(target)
    if (lessFee >= toTarget)
      return {
        sqrtPriceX96: target,
        amountIn: toTarget,
        amountOut: output(target),
        feeAmount: mulDiv(toTarget, fee, FEE_UNIT - fee, 'up'),
      }
    const next = getNextSqrtPriceFromInput(current, liquidity, lessFee, zeroForOne)
    const reached = next === target
    const amountIn = reached ? toTarget : input(next)
    return {
      sqrtPriceX96: next,
      amountIn,
      amountOut: output(next),
      // Short of the target, all that is left of the input is the fee.
      feeAmount: reached ? mulDiv(amountIn, fee, FEE_UNIT - fee, 'up') : remaining - amountIn,
    }
  }

  const toTarget = output(target)
  const next =
    remaining >= toTarget ? target : getNextSqrtPriceFromOutput(current, liquidity, remaining, zeroForOne)
  const amountIn = input(next)
  const amountOut = next === target ? toTarget : output(next)
  return {
    sqrtPriceX96: next,
    amountIn,
    amountOut: amountOut > remaining ? remaining : amountOut,
    feeAmount: mulDiv(amountIn, fee, FEE_UNIT - fee, 'up'),
  }
}
