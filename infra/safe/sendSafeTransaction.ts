import { type Address, isAddressEqual, type LocalAccount } from 'viem'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Rpc } from '../chain/rpc.ts'
import { sendFromOwner } from '../chain/sendFromOwner.ts'
import { SafeTransactionFailedError } from './errors.ts'
import type { SafeState } from './readSafe.ts'
import { encodeSafeExecution, type SafeTransaction, safeTransactionTypedData } from './safeTransaction.ts'

export type SendSafeTransactionParameters = {
  readonly rpc: Rpc
  readonly chainId: number
  readonly safe: Address
  readonly state: SafeState
  readonly transaction: SafeTransaction
  /** The one owner whose signature the Safe asks for. Pays the gas. */
  readonly owner: LocalAccount
  /** The command that says what came of it. */
  readonly nextCommand: string
}

/**
 * Signs a transaction of a 1-of-n Safe as one of its owners, sends it, and waits until it is mined.
 *
 * It is tried with `eth_estimateGas` before it is signed for good, so that one that would fail costs nothing.
 *
 * @returns the hash of the owner's transaction
 * @throws {InvalidInputError} when the key is no owner's, or more signatures are needed.
 * @throws {SafeTransactionFailedError} when the Safe refuses it.
 * @throws {RialtoError} as `sendFromOwner` does, when it was not sent, or may still be mined.
 */
export async function sendSafeTransaction(parameters: SendSafeTransactionParameters): Promise<Hash> {
  const { rpc, chainId, safe, state, transaction, owner, nextCommand } = parameters
  requireOwner(owner.address, safe, state)
  const signature = await owner.signTypedData(safeTransactionTypedData(safe, chainId, transaction))
  const data = encodeSafeExecution(transaction, signature)

  const { hash } = await sendFromOwner({
    ...{ rpc, chainId, owner, to: safe, data },
    refused: (why) => new SafeTransactionFailedError(safe, why),
    nextCommand,
  })
  return hash
}

/** @throws {InvalidInputError} when the key is no owner's, or more signatures are needed. */
export function requireOwner(owner: Address, safe: Address, { owners, threshold }: SafeState): void {
  if (threshold !== 1)
    throw new InvalidInputError(`The Safe ${safe} asks for ${threshold} signatures.`, {
      code: 'SAFE_OWNERS',
      fix: 'Write the transactions to a file with --out, and have its owners sign them in the Safe app.',
      details: { safe, owners, threshold },
    })
  if (!owners.some((each) => isAddressEqual(each, owner)))
    throw new InvalidInputError(`${owner} is no owner of the Safe ${safe}.`, {
      code: 'SAFE_OWNERS',
      fix: `Name the key of an owner with --owner-label: ${owners.join(', ')}.`,
      details: { safe, owners, owner },
    })
}
