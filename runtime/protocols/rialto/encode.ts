import { type Address, encodeAbiParameters, encodeFunctionData, type Hex } from 'viem'
import type { Call } from '../../core/lifecycle.ts'
import { type TokenAmount, type Wad, wei } from '../../core/units.ts'
import {
  assertActionsAbi,
  BATCH_MODE,
  batchAccountActionsAbi,
  batchParameters,
  flashRepayActionsAbi,
} from './abi.ts'

const NO_VALUE = wei(0n)

/** What to repay, and from what. Amounts in the token's smallest unit. */
export type FlashRepayOrder = {
  /** Aave's Pool. */
  readonly aave: Address
  /** The Uniswap pool of the two assets. */
  readonly pool: Address
  readonly debtAsset: Address
  readonly collateralAsset: Address
  readonly aToken: Address
  readonly repayAmount: TokenAmount
  readonly maxCollateral: TokenAmount
}

/** Repays the sender's debt out of its collateral; it has approved exactly `maxCollateral` of the aToken. */
export const encodeFlashRepay = (flashRepay: Address, order: FlashRepayOrder): Call => ({
  to: flashRepay,
  value: NO_VALUE,
  data: encodeFunctionData({ abi: flashRepayActionsAbi, functionName: 'flashRepay', args: [order] }),
})

/** Reverts unless the health factor of `account` is at least `minimum`. */
export const encodeMinHealthFactor = (
  assert: Address,
  aavePool: Address,
  account: Address,
  minimum: Wad,
): Call => ({
  to: assert,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: assertActionsAbi,
    functionName: 'minHealthFactor',
    args: [aavePool, account, minimum],
  }),
})

/** Reverts unless `account` holds at least `minimum` (smallest unit) of `token`. */
export const encodeMinBalance = (
  assert: Address,
  token: Address,
  account: Address,
  minimum: TokenAmount,
): Call => ({
  to: assert,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: assertActionsAbi,
    functionName: 'minBalance',
    args: [token, account, minimum],
  }),
})

/** Reverts unless `account` holds at most `maximum` (smallest unit) of `token`: a ceiling on a debt. */
export const encodeMaxBalance = (
  assert: Address,
  token: Address,
  account: Address,
  maximum: TokenAmount,
): Call => ({
  to: assert,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: assertActionsAbi,
    functionName: 'maxBalance',
    args: [token, account, maximum],
  }),
})

/** Reverts unless `spender` may take nothing of `owner`'s `token`. */
export const encodeZeroAllowance = (
  assert: Address,
  token: Address,
  owner: Address,
  spender: Address,
): Call => ({
  to: assert,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: assertActionsAbi,
    functionName: 'zeroAllowance',
    args: [token, owner, spender],
  }),
})

/** Reverts in every block after `lastBlock`. */
export const encodeNotAfter = (assert: Address, lastBlock: bigint): Call => ({
  to: assert,
  value: NO_VALUE,
  data: encodeFunctionData({ abi: assertActionsAbi, functionName: 'notAfter', args: [lastBlock] }),
})

/**
 * The calldata with which an account that delegates to `BatchAccount` sends itself a batch.
 *
 * @example { to: account, value: 0n, data: encodeExecute(calls) }
 */
export const encodeExecute = (calls: readonly Call[]): Hex =>
  encodeFunctionData({
    abi: batchAccountActionsAbi,
    functionName: 'execute',
    args: [BATCH_MODE, encodeAbiParameters(batchParameters, [calls])],
  })
