import { type Address, encodeFunctionData } from 'viem'
import type { Call } from '../../core/lifecycle.ts'
import { type TokenAmount, wei } from '../../core/units.ts'
import { aaveDebtTokenActionsAbi, aavePoolActionsAbi, VARIABLE_RATE } from './abi.ts'

const NO_VALUE = wei(0n)
const NO_REFERRAL = 0

/** Supplies `amount` of the sender's `asset` for `onBehalfOf`; the Pool must be approved. */
export const encodeSupply = (
  pool: Address,
  asset: Address,
  amount: TokenAmount,
  onBehalfOf: Address,
): Call => ({
  to: pool,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aavePoolActionsAbi,
    functionName: 'supply',
    args: [asset, amount, onBehalfOf, NO_REFERRAL],
  }),
})

/** Takes `amount` of `asset` (2^256 - 1: all of it) out of the sender's position, to `to`. */
export const encodeWithdraw = (pool: Address, asset: Address, amount: TokenAmount, to: Address): Call => ({
  to: pool,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aavePoolActionsAbi,
    functionName: 'withdraw',
    args: [asset, amount, to],
  }),
})

/** Borrows `amount` of `asset` at the variable rate. */
export const encodeBorrow = (
  pool: Address,
  asset: Address,
  amount: TokenAmount,
  onBehalfOf: Address,
): Call => ({
  to: pool,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aavePoolActionsAbi,
    functionName: 'borrow',
    args: [asset, amount, VARIABLE_RATE, NO_REFERRAL, onBehalfOf],
  }),
})

/** Repays at most `amount` of `onBehalfOf`'s variable debt in `asset`; the Pool must be approved. */
export const encodeRepay = (
  pool: Address,
  asset: Address,
  amount: TokenAmount,
  onBehalfOf: Address,
): Call => ({
  to: pool,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aavePoolActionsAbi,
    functionName: 'repay',
    args: [asset, amount, VARIABLE_RATE, onBehalfOf],
  }),
})

/** Repays at most `debtToCover` of `user`'s debt for collateral, paid out in the underlying. */
export const encodeLiquidationCall = (
  pool: Address,
  collateral: Address,
  debt: Address,
  user: Address,
  debtToCover: TokenAmount,
): Call => ({
  to: pool,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aavePoolActionsAbi,
    functionName: 'liquidationCall',
    args: [collateral, debt, user, debtToCover, false],
  }),
})

/** Takes back all that `delegatee` may borrow in the sender's name. */
export const encodeRevokeDelegation = (variableDebtToken: Address, delegatee: Address): Call => ({
  to: variableDebtToken,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: aaveDebtTokenActionsAbi,
    functionName: 'approveDelegation',
    args: [delegatee, 0n],
  }),
})
