import { type Address, encodeFunctionData, type Hex, hashTypedData, zeroAddress } from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Call } from '../../runtime/core/lifecycle.ts'
import { wei } from '../../runtime/core/units.ts'
import { Operation } from '../../runtime/protocols/safe/abi.ts'
import { encodeMultiSend } from '../../runtime/protocols/safe/encode.ts'
import { safeAbi } from './abi.ts'
import type { Change } from './compareRole.ts'

/** One transaction of a Safe: what its owners sign. Nobody is paid back for gas. */
export type SafeTransaction = Call & {
  readonly operation: (typeof Operation)[keyof typeof Operation]
  readonly nonce: bigint
}

const safeTxTypes = {
  SafeTx: [
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'data', type: 'bytes' },
    { name: 'operation', type: 'uint8' },
    { name: 'safeTxGas', type: 'uint256' },
    { name: 'baseGas', type: 'uint256' },
    { name: 'gasPrice', type: 'uint256' },
    { name: 'gasToken', type: 'address' },
    { name: 'refundReceiver', type: 'address' },
    { name: 'nonce', type: 'uint256' },
  ],
} as const

/** With these the Safe gives all gas it has to the call, pays nobody, and fails when the call does. */
const NO_REFUND = {
  safeTxGas: 0n,
  baseGas: 0n,
  gasPrice: 0n,
  gasToken: zeroAddress,
  refundReceiver: zeroAddress,
} as const

/**
 * All changes in one transaction of the Safe, so that all of them happen or none.
 *
 * @param nonce the Safe's own
 * @throws {InvariantError} when there is nothing to do.
 */
export function safeTransactionOf(
  changes: readonly Change[],
  multiSend: Address,
  nonce: bigint,
): SafeTransaction {
  const [first, ...others] = changes
  if (first === undefined) throw new InvariantError('A transaction of a Safe without a call has no use.')
  if (others.length === 0) {
    const { to, value, data } = first
    return { to, value, data, operation: Operation.call, nonce }
  }
  return {
    to: multiSend,
    value: wei(0n),
    data: encodeMultiSend(changes),
    operation: Operation.delegateCall,
    nonce,
  }
}

/** What an owner signs (EIP-712). */
export const safeTransactionTypedData = (safe: Address, chainId: number, transaction: SafeTransaction) => ({
  domain: { chainId, verifyingContract: safe },
  types: safeTxTypes,
  primaryType: 'SafeTx' as const,
  message: { ...transaction, ...NO_REFUND },
})

/** The hash of {@link safeTransactionTypedData}: `getTransactionHash` of the Safe. */
export const safeTransactionHash = (safe: Address, chainId: number, transaction: SafeTransaction): Hash =>
  hashTypedData(safeTransactionTypedData(safe, chainId, transaction))

/**
 * The calldata that has the Safe carry a transaction out.
 *
 * @param signatures of as many owners as the Safe asks for, 65 bytes each, by rising address
 */
export const encodeSafeExecution = ({ to, value, data, operation }: SafeTransaction, signatures: Hex): Hex =>
  encodeFunctionData({
    abi: safeAbi,
    functionName: 'execTransaction',
    args: [
      to,
      value,
      data,
      operation,
      NO_REFUND.safeTxGas,
      NO_REFUND.baseGas,
      NO_REFUND.gasPrice,
      NO_REFUND.gasToken,
      NO_REFUND.refundReceiver,
      signatures,
    ],
  })

/**
 * The changes as a file of Safe's Transaction Builder, for a Safe whose owners sign in its app.
 *
 * @param createdAt milliseconds since 1970
 */
export const transactionBuilderFile = (
  parameters: {
    readonly safe: Address
    readonly chainId: number
    readonly name: string
    readonly createdAt: number
  },
  changes: readonly Change[],
) => ({
  version: '1.0',
  chainId: String(parameters.chainId),
  createdAt: parameters.createdAt,
  meta: {
    name: parameters.name,
    description: changes.map(({ words }) => words).join('\n'),
    createdFromSafeAddress: parameters.safe,
  },
  transactions: changes.map(({ to, value, data }) => ({
    to,
    value: value.toString(),
    data,
    contractMethod: null,
    contractInputsValues: null,
  })),
})
