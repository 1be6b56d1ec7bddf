import { setTimeout as delay } from 'node:timers/promises'
import { type Address, type Hex, keccak256, type LocalAccount, parseGwei } from 'viem'
import { OutcomeUnknownError } from '../../runtime/core/chainErrors.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Receipt } from '../../runtime/core/ports.ts'
import { OwnerBusyError, OwnerTransactionUnknownError } from './errors.ts'
import { type Rpc, RpcAnswer } from './rpc.ts'
import { sendRaw } from './sendRaw.ts'
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
 * signed, so that one that would fail costs nothing; and nothing is sent while anything of the owner's is not mined, so
 * that whoever repeats what came to an unknown end does not pay twice.
 *
 * @throws {OwnerBusyError} when something of the owner's is not mined: nothing was sent.
 * @throws {TransactionRefusedError} when the node clearly does not hold it.
 * @throws {RpcUnreachableError} when it never left this machine.
 * @throws {OwnerTransactionUnknownError} when it may have been sent, and is not seen mined in time: it may still be.
 * @throws whatever `refused` gives, when it fails, before or after it was mined.
 */
export async function sendFromOwner(
  parameters: OwnerTransaction & {
    readonly chainId: number
    /** Pays the gas. */
    readonly owner: LocalAccount
    /** The command that says what came of it. */
    readonly nextCommand: string
    /** How long it is waited for, in milliseconds. */
    readonly patience?: number
  },
): Promise<Receipt> {
  const { rpc, chainId, owner, to, data, nextCommand, patience = WAIT } = parameters
  const nonce = await requireIdle(rpc, owner.address, nextCommand)
  const { gas, maxFeePerGas } = await costOf(parameters, owner.address)
  const raw = await owner.signTransaction({
    ...{ chainId, type: 'eip1559', to, data, gas, maxFeePerGas, maxPriorityFeePerGas: PRIORITY_FEE },
    nonce: Number(nonce),
  })
  const hash = keccak256(raw) as Hash
  const silence = await handOver(rpc, raw)
  const seen = await lookFor(rpc, hash, patience)
  if (seen.receipt === null)
    throw new OwnerTransactionUnknownError(hash, patience / 1000, nextCommand, seen.trouble ?? silence)
  if (seen.receipt.status === 'success') return seen.receipt
  throw parameters.refused(`transaction ${hash} reverted`)
}

/**
 * The nonce that an owner's next transaction takes. What is not mined may be the very one that is about to be sent: with
 * another nonce it would be paid for twice. Whoever tries it beforehand asks this first: where it is tried on what is
 * pending, it may fail for no other reason.
 *
 * @throws {OwnerBusyError} while something of the owner's is not mined.
 */
export async function requireIdle(rpc: Rpc, owner: Address, nextCommand: string): Promise<bigint> {
  const count = (at: string) => askQuantity(rpc, 'eth_getTransactionCount', [owner, at])
  const [mined, pending] = await Promise.all([count('latest'), count('pending')])
  if (pending > mined) throw new OwnerBusyError(owner, pending - mined, nextCommand)
  return mined
}

/** @returns null when the node has the bytes, else why nobody knows */
async function handOver(rpc: Rpc, raw: Hex): Promise<string | null> {
  try {
    await sendRaw(rpc, raw)
    return null
  } catch (error) {
    if (error instanceof OutcomeUnknownError) return describeError(error)
    throw error
  }
}

/** Looks for a transaction until it is mined. That a node does not answer says nothing of it: it is asked again. */
async function lookFor(
  rpc: Rpc,
  hash: Hash,
  patience: number,
): Promise<{ readonly receipt: Receipt | null; readonly trouble: string | null }> {
  const method = 'eth_getTransactionReceipt'
  let trouble: string | null = null
  for (const deadline = performance.now() + patience; performance.now() < deadline; await delay(POLL)) {
    try {
      const answer = await rpc.call(method, [hash])
      trouble = null
      if (answer !== null) return { receipt: parseAnswer(receipt, answer, method, rpc.host), trouble }
    } catch (error) {
      if (!(error instanceof RialtoError)) throw error
      trouble = describeError(error)
    }
  }
  return { receipt: null, trouble }
}

/** A quantity that a node gives of an account. */
export const askQuantity = async (rpc: Rpc, method: string, params: readonly unknown[]): Promise<bigint> =>
  parseAnswer(quantity, await rpc.call(method, params), method, rpc.host)
