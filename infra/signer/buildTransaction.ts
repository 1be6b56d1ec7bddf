import { type Hex, keccak256, type PrivateKeyAccount } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { SignedTransaction } from '../../runtime/core/ports.ts'
import { encodeExecute } from '../../runtime/protocols/rialto/encode.ts'
import { SignerError } from './errors.ts'

/**
 * Makes and signs the one transaction of a plan: the account calls `execute` on itself. With a delegation to make it
 * is of type 4 (EIP-7702), and the authorisation, being of its own sender, takes the nonce after the transaction's.
 *
 * The signature is deterministic (RFC 6979), so the same plan and nonce always give the same bytes.
 *
 * @throws {SignerError} `SIGNER_REQUEST` for a nonce that no account can have (EIP-2681: below 2^64 - 1).
 */
export async function buildTransaction(
  account: PrivateKeyAccount,
  plan: Plan,
  nonce: bigint,
): Promise<SignedTransaction> {
  const transaction = {
    chainId: plan.chainId,
    nonce: safeNonce(nonce),
    to: account.address,
    value: 0n,
    data: encodeExecute(plan.calls),
    gas: plan.gasLimit,
    maxFeePerGas: plan.maxFeePerGas,
    maxPriorityFeePerGas: plan.maxPriorityFeePerGas,
  }
  if (plan.delegateTo === null)
    return signed(await account.signTransaction({ ...transaction, type: 'eip1559' }), 1)
  const authorization = await account.signAuthorization({
    address: plan.delegateTo,
    chainId: plan.chainId,
    nonce: safeNonce(nonce + 1n),
  })
  return signed(
    await account.signTransaction({ ...transaction, type: 'eip7702', authorizationList: [authorization] }),
    2,
  )
}

const signed = (raw: Hex, noncesUsed: 1 | 2): SignedTransaction => ({
  raw,
  hash: keccak256(raw) as Hash,
  noncesUsed,
})

function safeNonce(nonce: bigint): number {
  if (nonce < 0n || nonce > BigInt(Number.MAX_SAFE_INTEGER))
    throw new SignerError('SIGNER_REQUEST', `${nonce} cannot be a nonce.`, {
      fix: 'Ask the chain for the account’s nonce.',
    })
  return Number(nonce)
}
