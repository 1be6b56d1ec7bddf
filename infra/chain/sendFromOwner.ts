import { setTimeout as delay } from 'node:timers/promises'
import { type Address, type Hex, keccak256, type LocalAccount, parseGwei } from 'viem'
import type { RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Receipt } from '../../runtime/core/ports.ts'
import { OwnerTransactionUnknownError } from './errors.ts'
import { type Rpc, RpcAnswer } from './rpc.ts'
import { block, parseAnswer, quantity, receipt } from './wire.ts'

/** How long a transaction is waited for, in milliseconds, and how often it is looked for. */
const WAIT = 180_000
const POLL = 500
const PRIORITY_FEE = parseGwei('1')

export type OwnerTransaction = {
  readonly rpc: Rpc
  readonly to: Address
  readonly data: Hex
  /** What is thrown when the chain does not carry it out; `why` is the node's words, one line. */
  readonly refused: (why: string) => RialtoError
}

/** What a transaction takes at most. */
export type TransactionCost = {
  readonly gas: bigint
  /** In wei, for each unit of gas. */
  readonly maxFeePerGas: bigint
}

/**
 * What a transaction takes at most, at twice the base fee of now and a third more gas than it takes now: what is not
 * used is not paid.
 *
 * @throws whatever `refused` gives, when it would fail.
 */
export async function costOf(
  { rpc, to, data, refused }: OwnerTransaction,
  from: Address,
): Promise<TransactionCost> {
  const latest = await rpc.call('eth_getBlockByNumber', ['latest', false])
  const { baseFeePerGas } = parseAnswer(block, latest, 'eth_getBlockByNumber', rpc.host)
  const gas = await askQuantity(rpc, 'eth_estimateGas', [{ from, to, data }]).catch((error: unknown) => {
    throw error instanceof RpcAnswer ? refused(error.said) : error
  })
  return { gas: (gas * 13n) / 10n, maxFeePerGas: 2n * baseFeePerGas + PRIORITY_FEE }
}

/**
 * Signs a transaction with an owner's own key, sends it once, and waits until it is mined. It is tried before it is
 * signed, so that one that would fail costs nothing.
 *
 * @throws whatever `refused` gives, when it fails, before or after it was mined.
 * @throws {OwnerTransactionUnknownError} when it was sent and is not mined in time: it may still be.
 */
export async function sendFromOwner(
  parameters: OwnerTransaction & {
    readonly chainId: number
    /** Pays the gas. */
    readonly owner: LocalAccount
    /** The command that says what came of it. */
    readonly nextCommand: string
  },
): Promise<Receipt> {
  const { rpc, chainId, owner, to, data } = parameters
  const { gas, maxFeePerGas } = await costOf(parameters, owner.address)
  const raw = await owner.signTransaction({
    ...{ chainId, type: 'eip1559', to, data, gas, maxFeePerGas, maxPriorityFeePerGas: PRIORITY_FEE },
    nonce: Number(await askQuantity(rpc, 'eth_getTransactionCount', [owner.address, 'pending'])),
  })
  const hash = keccak256(raw) as Hash
  await rpc.call('eth_sendRawTransaction', [raw], { once: true })
  return await mined(parameters, hash)
}

async function mined(
  { rpc, refused, nextCommand }: OwnerTransaction & { readonly nextCommand: string },
  hash: Hash,
): Promise<Receipt> {
  const method = 'eth_getTransactionReceipt'
  for (const deadline = performance.now() + WAIT; performance.now() < deadline; await delay(POLL)) {
    const answer = await rpc.call(method, [hash])
    if (answer === null) continue
    const found = parseAnswer(receipt, answer, method, rpc.host)
    if (found.status === 'success') return found
    throw refused(`transaction ${hash} reverted`)
  }
  throw new OwnerTransactionUnknownError(hash, WAIT / 1000, nextCommand)
}

/** A quantity that a node gives of an account. */
export const askQuantity = async (rpc: Rpc, method: string, params: readonly unknown[]): Promise<bigint> =>
  parseAnswer(quantity, await rpc.call(method, params), method, rpc.host)
