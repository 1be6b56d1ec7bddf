import type { Address } from 'viem'
import type { Hash } from '../../../runtime/core/ids.ts'
import type { BlockId, Chain, Receipt } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import type { Question } from './votes.ts'

/** The first and last digits of a hash. */
const short = (hash: string): string => `${hash.slice(0, 8)}…${hash.slice(-4)}`

const idOf = ({ number, hash }: BlockId): string => `${number} ${hash}`
const tellBlock = ({ number, hash }: BlockId): string => `block ${number} (${short(hash)})`

export const blockQuestion = (number: bigint): Question<BlockRef> => ({
  method: 'eth_getBlockByNumber',
  ask: (chain) => chain.block(number),
  key: ({ hash, parentHash, timestamp, baseFeePerGas, ...block }) =>
    [block.number, hash, parentHash, timestamp, baseFeePerGas].join(' '),
  tell: tellBlock,
})

export const genesisQuestion: Question<Hash> = {
  method: 'the genesis block',
  ask: (chain) => chain.genesisHash(),
  key: String,
  tell: short,
}

export const nonceQuestion = (account: Address, at: Hash): Question<bigint> => ({
  method: 'eth_getTransactionCount',
  ask: (chain) => chain.nonce(account, at),
  key: String,
  tell: String,
})

export const receiptQuestion = (hash: Hash): Question<Receipt | null> => ({
  method: 'eth_getTransactionReceipt',
  ask: (chain) => chain.receipt(hash),
  key: (receipt) =>
    receipt === null
      ? 'null'
      : [
          receipt.hash,
          receipt.status,
          idOf(receipt.block),
          receipt.gasUsed,
          receipt.effectiveGasPrice,
          JSON.stringify(receipt.logs.map(({ address, topics, data }) => [address, topics, data])),
        ].join(' '),
  tell: (receipt) => (receipt === null ? 'no receipt' : `${receipt.status} in ${tellBlock(receipt.block)}`),
})

/** Where a transaction is, as one node sees it. */
type Whereabouts = Awaited<ReturnType<Chain['transaction']>>

/**
 * Blocks are agreed on, pools are each node's own. Where a quorum says that a transaction is in no block, and only some
 * of these have it in their pools, it is in a pool: it can still be mined.
 */
export const transactionQuestion = (hash: Hash): Question<Whereabouts> => ({
  method: 'eth_getTransactionByHash',
  ask: (chain) => chain.transaction(hash),
  key: (found) => (found === null ? 'null' : found.block === null ? 'pool' : idOf(found.block)),
  settle: (values, quorum) =>
    values.filter((found) => found === null || found.block === null).length >= quorum
      ? { value: { block: null } }
      : null,
  tell: (found) =>
    found === null ? 'unknown' : found.block === null ? 'in its pool' : `in ${tellBlock(found.block)}`,
})

export const transactionAtQuestion = (
  account: Address,
  nonce: bigint,
  at: BlockRef,
): Question<Awaited<ReturnType<Chain['transactionAt']>>> => ({
  method: 'the transaction of a nonce',
  ask: (chain) => chain.transactionAt(account, nonce, at),
  key: (found) => (found === null ? 'null' : `${found.hash} ${idOf(found.block)}`),
  tell: (found) => (found === null ? 'none' : `${short(found.hash)} in ${tellBlock(found.block)}`),
})
