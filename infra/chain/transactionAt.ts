import { type Address, isAddressEqual } from 'viem'
import { BlockGoneError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { BlockId, Chain } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import type { SentTransaction } from './wire.ts'

/** What of a node the search needs. */
type Node = Pick<Chain, 'block' | 'nonce'> & {
  readonly host: string
  transactionsOf(block: Hash): Promise<readonly SentTransaction[]>
}

/**
 * Finds the transaction that used a nonce, by the account's transaction count at blocks: back from `at` in steps that
 * double, because a nonce that anybody asks about was used lately and few nodes keep the state of old blocks, then
 * by bisection. So it costs two requests for each doubling of the distance.
 *
 * @returns null when the nonce is not used at `at`, and when no transaction used it: an EIP-7702 authorisation, or
 * a contract that the account's delegate created
 * @throws {BlockGoneError} when `at` was reorganised away, or the node no longer has the state that tells.
 */
export async function transactionAt(
  node: Node,
  account: Address,
  nonce: bigint,
  at: BlockRef,
): Promise<{ readonly hash: Hash; readonly block: BlockId } | null> {
  if ((await node.nonce(account, at.hash)) <= nonce) return null
  const first = await firstBlockWith(node, account, nonce, at)
  const sent = await node.transactionsOf(first.block.hash)
  // Blocks were asked for by number: they are ancestors of `at` only if it is still where it was.
  const now = at.number === first.block.number ? first.block : await node.block(at.number)
  if (now.hash !== at.hash) throw new BlockGoneError(at.hash, node.host)
  const found = sent.find((candidate) => candidate.nonce === nonce && isAddressEqual(candidate.from, account))
  if (found !== undefined)
    return { hash: found.hash, block: { number: first.block.number, hash: first.block.hash } }
  // No state before that block: the nonce may have been used earlier still.
  if (first.before === 'unknown') throw new BlockGoneError(first.block.parentHash, node.host)
  return null
}

/** The earliest block known to have the nonce used, and whether it is known to be the very first. */
async function firstBlockWith(
  node: Node,
  account: Address,
  nonce: bigint,
  at: BlockRef,
): Promise<{ readonly block: BlockRef; readonly before: 'unused' | 'unknown' }> {
  let used = at
  /** The highest block that is known not to have it used, or whose state is gone; -1 stands before the genesis. */
  let low = -1n
  let before: 'unused' | 'unknown' = 'unused'
  let step = 1n
  let galloping = true
  while (used.number - low > 1n) {
    const middle = galloping ? used.number - step : low + (used.number - low) / 2n
    if (middle <= low) {
      galloping = false
      continue
    }
    const block = await node.block(middle)
    const count = await countIfThere(node, account, block.hash)
    if (count !== null && count > nonce) {
      used = block
      step *= 2n
    } else {
      low = middle
      before = count === null ? 'unknown' : 'unused'
      galloping = false
    }
  }
  return { block: used, before }
}

async function countIfThere(node: Node, account: Address, block: Hash): Promise<bigint | null> {
  try {
    return await node.nonce(account, block)
  } catch (error) {
    if (error instanceof BlockGoneError) return null
    throw error
  }
}
