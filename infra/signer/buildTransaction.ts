import { type Address, type Hex, keccak256 } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { SignedTransaction } from '../../runtime/core/ports.ts'
import { encodeExecute } from '../../runtime/protocols/rialto/encode.ts'
import { encodeRolesExecution } from '../../runtime/protocols/safe/encode.ts'
import { SignerError } from './errors.ts'
import type { KeyHolder } from './keyHolder.ts'

/**
 * Makes and signs the one transaction of a plan.
 *
 * | plan | transaction |
 * |---|---|
 * | of an EOA | the account calls `execute` on itself; with a delegation to make it is of type 4 (EIP-7702), and the authorisation, being of its own sender, takes the nonce after the transaction's |
 * | of a Safe (`via`) | the role's member calls `execTransactionWithRole` on the Roles modifier |
 * | without calls | the sender sends nothing to itself |
 *
 * A key of our own signs deterministically (RFC 6979), so the same plan and nonce always give the same bytes.
 *
 * @throws {SignerError} `SIGNER_REQUEST` for a nonce that no account can have (EIP-2681: below 2^64 - 1), or a
 * delegation that the key's holder cannot sign.
 */
export async function buildTransaction(
  key: KeyHolder,
  plan: Plan,
  nonce: bigint,
): Promise<SignedTransaction> {
  const transaction = {
    chainId: plan.chainId,
    nonce: safeNonce(nonce),
    ...callOf(plan, key.address),
    value: 0n,
    gas: plan.gasLimit,
    maxFeePerGas: plan.maxFeePerGas,
    maxPriorityFeePerGas: plan.maxPriorityFeePerGas,
  }
  if (plan.delegateTo === null)
    return signed(await key.signTransaction({ ...transaction, type: 'eip1559' }), 1)
  if (key.signAuthorization === undefined)
    throw new SignerError(
      'SIGNER_REQUEST',
      `The key of ${key.address} cannot sign a delegation (EIP-7702).`,
      {
        fix: 'Have the account delegate once with a key that can, or let it act through a Safe.',
        details: { account: key.address, delegateTo: plan.delegateTo },
      },
    )
  const authorization = await key.signAuthorization({
    address: plan.delegateTo,
    chainId: plan.chainId,
    nonce: safeNonce(nonce + 1n),
  })
  return signed(
    await key.signTransaction({ ...transaction, type: 'eip7702', authorizationList: [authorization] }),
    2,
  )
}

/** Whom the sender calls, and with what. */
function callOf({ calls, via }: Plan, sender: Address): { readonly to: Address; readonly data: Hex } {
  if (calls.length === 0) return { to: sender, data: '0x' }
  if (via === undefined) return { to: sender, data: encodeExecute(calls) }
  const { to, data } = encodeRolesExecution(calls, via)
  return { to, data }
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
