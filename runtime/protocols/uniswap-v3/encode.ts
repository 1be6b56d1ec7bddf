import { type Address, encodeFunctionData } from 'viem'
import type { Call } from '../../core/lifecycle.ts'
import { type TokenAmount, wei } from '../../core/units.ts'
import { swapRouterActionsAbi } from './abi.ts'

/** One swap through one pool. Amounts in the tokens' smallest units. */
export type ExactInputSingle = {
  readonly tokenIn: Address
  readonly tokenOut: Address
  /** Of the pool, in hundredths of a basis point. */
  readonly fee: number
  readonly recipient: Address
  /** Unix seconds. */
  readonly deadline: bigint
  readonly amountIn: TokenAmount
  readonly minAmountOut: TokenAmount
}

/** Swaps exactly `amountIn` for at least `minAmountOut`; the router must be approved. */
export const encodeExactInputSingle = (router: Address, swap: ExactInputSingle): Call => ({
  to: router,
  value: wei(0n),
  data: encodeFunctionData({
    abi: swapRouterActionsAbi,
    functionName: 'exactInputSingle',
    args: [
      {
        tokenIn: swap.tokenIn,
        tokenOut: swap.tokenOut,
        fee: swap.fee,
        recipient: swap.recipient,
        deadline: swap.deadline,
        amountIn: swap.amountIn,
        amountOutMinimum: swap.minAmountOut,
        // No price limit: with one, the router would swap a part only and leave the rest of the allowance.
        sqrtPriceLimitX96: 0n,
      },
    ],
  }),
})
