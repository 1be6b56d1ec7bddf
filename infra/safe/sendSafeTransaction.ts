import { setTimeout as delay } from 'node:timers/promises'
import { type Address, isAddressEqual, keccak256, type LocalAccount, parseGwei } from 'viem'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { type Rpc, RpcAnswer } from '../chain/rpc.ts'
import { block, parseAnswer, quantity, receipt } from '../chain/wire.ts'
import { SafeTransactionFailedError, SafeTransactionUnknownError } from './errors.ts'
import type { SafeState } from './readSafe.ts'
import { encodeSafeExecution, type SafeTransaction, safeTransactionTypedData } from './safeTransaction.ts'

/** How long a transaction is waited for, in milliseconds, and how often it is looked for. */
const WAIT = 180_000
const POLL = 500
const PRIORITY_FEE = parseGwei('1')

export type SendSafeTransactionParameters = {
  readonly rpc: Rpc
  readonly chainId: number
  readonly safe: Address
  readonly state: SafeState
  readonly transaction: SafeTransaction
  /** The one owner whose signature the Safe asks for. Pays the gas. */
  readonly owner: LocalAccount
}

/**
 * Signs a transaction of a 1-of-n Safe as one of its owners, sends it, and waits until it is mined.
 *
 * It is tried with `eth_estimateGas` before it is signed for good, so that one that would fail costs nothing.
 *
 * @returns the hash of the owner's transaction
 * @throws {InvalidInputError} when the key is no owner's, or more signatures are needed.
 * @throws {SafeTransactionFailedError} when the Safe refuses it.
 * @throws {SafeTransactionUnknownError} when it was sent and is not mined in time: it may still be.
 */
export async function sendSafeTransaction(parameters: SendSafeTransactionParameters): Promise<Hash> {
  const { rpc, chainId, safe, state, transaction, owner } = parameters
  requireOwner(owner.address, safe, state)
  const signature = await owner.signTypedData(safeTransactionTypedData(safe, chainId, transaction))
  const data = encodeSafeExecution(transaction, signature)

  const ask = async (method: string, params: readonly unknown[]) =>
    parseAnswer(quantity, await rpc.call(method, params), method, rpc.host)
  const head = parseAnswer(
    block,
    await rpc.call('eth_getBlockByNumber', ['latest', false]),
    'eth_getBlockByNumber',
    rpc.host,
  )
  const gas = await ask('eth_estimateGas', [{ from: owner.address, to: safe, data }]).catch((error) => {
    throw error instanceof RpcAnswer ? new SafeTransactionFailedError(safe, error.said) : error
  })
  const raw = await owner.signTransaction({
    chainId,
    type: 'eip1559',
    to: safe,
    data,
    nonce: Number(await ask('eth_getTransactionCount', [owner.address, 'pending'])),
    // The modifier deploys conditions: what was estimated is close, and unused gas is not paid.
    gas: (gas * 13n) / 10n,
    maxFeePerGas: 2n * head.baseFeePerGas + PRIORITY_FEE,
    maxPriorityFeePerGas: PRIORITY_FEE,
  })
  const hash = keccak256(raw) as Hash
  await rpc.call('eth_sendRawTransaction', [raw], { once: true })
  return await mined(rpc, safe, hash)
}

function requireOwner(owner: Address, safe: Address, { owners, threshold }: SafeState): void {
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

async function mined(rpc: Rpc, safe: Address, hash: Hash): Promise<Hash> {
  const method = 'eth_getTransactionReceipt'
  for (const deadline = performance.now() + WAIT; performance.now() < deadline; await delay(POLL)) {
    const answer = await rpc.call(method, [hash])
    if (answer === null) continue
    const { status } = parseAnswer(receipt, answer, method, rpc.host)
    if (status === 'success') return hash
    throw new SafeTransactionFailedError(safe, `transaction ${hash} reverted`)
  }
  throw new SafeTransactionUnknownError(hash, WAIT / 1000)
}
