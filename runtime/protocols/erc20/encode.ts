import { type Address, encodeFunctionData } from 'viem'
import type { Call } from '../../core/lifecycle.ts'
import { type TokenAmount, wei } from '../../core/units.ts'
import { erc20ActionsAbi } from './abi.ts'

const NO_VALUE = wei(0n)

/** Lets `spender` take exactly `amount` (smallest unit) of the sender's `token`. */
export const encodeApprove = (token: Address, spender: Address, amount: TokenAmount): Call => ({
  to: token,
  value: NO_VALUE,
  data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'approve', args: [spender, amount] }),
})

/** Sends `amount` (smallest unit) of the sender's `token` to `to`. */
export const encodeTransfer = (token: Address, to: Address, amount: TokenAmount): Call => ({
  to: token,
  value: NO_VALUE,
  data: encodeFunctionData({ abi: erc20ActionsAbi, functionName: 'transfer', args: [to, amount] }),
})
