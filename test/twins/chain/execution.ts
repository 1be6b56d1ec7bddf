import { createHash } from 'node:crypto'
import type { Address, Hex } from 'viem'
import type { AddressBook } from '../../../runtime/core/addressBook.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import type { Receipt, ReceiptLog } from '../../../runtime/core/ports.ts'
import { wei } from '../../../runtime/core/units.ts'
import { decodeBatch } from '../../../runtime/protocols/rialto/decodeBatch.ts'
import { runCall } from './marketCalls.ts'
import { addNative, copyMarket, type MarketState, nativeIn, nonceIn } from './marketState.ts'
import type { PooledTransaction } from './transactions.ts'

/** A block with the state after it. Blocks never change, so a fork is another block on the same parent. */
export type Block = {
  readonly number: bigint
  readonly hash: Hash
  readonly parentHash: Hash
  readonly parent: Block | null
  readonly timestamp: bigint
  readonly baseFeePerGas: bigint
  readonly transactions: readonly MinedTransaction[]
  readonly state: MarketState
}

export type MinedTransaction = {
  readonly transaction: PooledTransaction
  readonly receipt: Receipt
  /** Revert data; null when it succeeded. */
  readonly revertData: Hex | null
}

/** The ancestor of a block, or itself, at a height; null when there is none. */
export function ancestorOf(block: Block, number: bigint): Block | null {
  let at: Block | null = block
  while (at !== null && at.number > number) at = at.parent
  return at !== null && at.number === number ? at : null
}

export const sha = (...parts: readonly (string | bigint | number)[]): Hash =>
  `0x${createHash('sha256').update(parts.join('/')).digest('hex')}`

/** Gas as the model has it: a base, and as much for each call of a batch. */
const GAS = { base: 21_000n, call: 45_000n, plain: 30_000n, authorization: 25_000n, refund: 12_500n } as const

const callGas = new Map<Hex, bigint>()

export function gasOfCall(from: Address, to: Address, data: Hex): bigint {
  if (data === '0x') return GAS.base
  if (from.toLowerCase() !== to.toLowerCase()) return GAS.base + GAS.plain
  const known = callGas.get(data)
  if (known !== undefined) return known
  if (callGas.size > 5_000) callGas.clear()
  const gas = GAS.base + GAS.call * BigInt(decodeBatch(data)?.length ?? 0)
  callGas.set(data, gas)
  return gas
}

/** What a block has that its transactions run in. */
export type BlockFrame = {
  readonly book: AddressBook
  readonly chainId: number
  readonly number: bigint
  readonly baseFeePerGas: bigint
  readonly state: MarketState
}

/** Whether the transaction can be in the block at all. */
export function isMinable({ state, baseFeePerGas }: BlockFrame, transaction: PooledTransaction): boolean {
  return (
    nonceIn(state, transaction.from) === transaction.nonce &&
    transaction.maxFeePerGas >= baseFeePerGas &&
    nativeIn(state, transaction.from) >= transaction.gas * transaction.maxFeePerGas + transaction.value
  )
}

/**
 * Puts a minable transaction into a block: nonce, authorisations, call and fee. A reverted one keeps its nonces and
 * its delegation, as on the real chain.
 *
 * @param spoiled reverts for a reason of its own, whatever it does
 */
export function execute(
  frame: BlockFrame,
  transaction: PooledTransaction,
  spoiled: boolean,
): Omit<MinedTransaction, 'receipt'> & { readonly receipt: Omit<Receipt, 'block'> } {
  const { state, book, chainId, number, baseFeePerGas } = frame
  const { from, to, data, value, gas, maxFeePerGas, maxPriorityFeePerGas } = transaction
  state.nonces.set(from.toLowerCase(), transaction.nonce + 1n)
  let used = gasOfCall(from, to, data)
  for (const { authority, delegate, nonce, chainId: forChain } of transaction.authorizations) {
    used += GAS.authorization
    if (forChain !== chainId || nonceIn(state, authority) !== nonce) continue
    used -= GAS.refund
    state.nonces.set(authority.toLowerCase(), nonce + 1n)
    state.code.set(authority.toLowerCase(), `0xef0100${delegate.slice(2).toLowerCase()}`)
  }
  const tip = min(maxPriorityFeePerGas, maxFeePerGas - baseFeePerGas)
  const price = baseFeePerGas + tip
  const outOfGas = used > gas
  const outcome =
    outOfGas || spoiled
      ? ({ ok: false, returnData: '0x' } as const)
      : runCall({ state, book, block: number, from, to }, data, value)
  const gasUsed = outOfGas ? gas : used
  addNative(state, from, -gasUsed * price)
  const logs: readonly ReceiptLog[] = outcome.ok ? outcome.logs : []
  return {
    transaction,
    revertData: outcome.ok ? null : outcome.returnData,
    receipt: {
      hash: transaction.hash,
      status: outcome.ok ? 'success' : 'reverted',
      gasUsed,
      effectiveGasPrice: wei(price),
      logs,
    },
  }
}

export type BlockPlan = {
  readonly book: AddressBook
  readonly chainId: number
  readonly parent: Block
  readonly timestamp: bigint
  readonly baseFeePerGas: bigint
  /** Tells this block from another on the same parent. */
  readonly salt: string
  /** In the order in which they are tried; those that cannot be mined are left out. */
  readonly transactions: readonly PooledTransaction[]
  /** Which of them revert for reasons of their own. */
  readonly spoils?: ((transaction: PooledTransaction) => boolean) | undefined
  /** What else happens in it: a feed that answers. */
  readonly change?: ((state: MarketState) => void) | undefined
}

/** Makes a block on top of another. */
export function makeBlock(plan: BlockPlan): Block {
  const { book, chainId, parent, timestamp, baseFeePerGas, salt } = plan
  const state = copyMarket(parent.state)
  plan.change?.(state)
  const number = parent.number + 1n
  const frame: BlockFrame = { book, chainId, number, baseFeePerGas, state }
  const executed: ReturnType<typeof execute>[] = []
  for (const transaction of plan.transactions)
    if (isMinable(frame, transaction))
      executed.push(execute(frame, transaction, plan.spoils?.(transaction) ?? false))
  const hashes = executed.map(({ transaction, receipt }) => `${transaction.hash}${receipt.status}`)
  const hash = sha(parent.hash, number, timestamp, baseFeePerGas, salt, ...hashes)
  return {
    number,
    hash,
    parentHash: parent.hash,
    parent,
    timestamp,
    baseFeePerGas,
    state,
    transactions: executed.map((one) => ({ ...one, receipt: { ...one.receipt, block: { number, hash } } })),
  }
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
