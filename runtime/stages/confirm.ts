import type { AttemptRecord } from '../core/journal.ts'
import type { Receipt } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { Runtime } from './runtime.ts'
import { submit } from './submit.ts'

/**
 * Looks for the receipt of an attempt at a head.
 *
 * Null while it is not mined deeply enough. An attempt that the chain does not know is broadcast again, the same
 * bytes, past its last valid block too: its nonce has to be used before anything else of the account can be mined. One whose nonce another transaction used is left in flight as `unknown`: it keeps its nonce and its
 * budget, because one node's word is no proof.
 */
export async function confirm(
  runtime: Runtime,
  attempt: AttemptRecord,
  head: BlockRef,
  confirmations: number,
): Promise<Receipt | null> {
  if (attempt.hash === null) return null
  const receipt = await runtime.chain.receipt(attempt.hash)
  if (receipt !== null)
    return head.number - receipt.block.number + 1n >= BigInt(confirmations) ? receipt : null

  if ((await runtime.chain.nonce(attempt.account, head.hash)) > attempt.nonce) {
    if (attempt.status === 'unknown') return null
    await runtime.journal.settle(attempt.id, {
      status: 'unknown',
      failure: `nonce ${attempt.nonce} was used, but there is no receipt for ${attempt.hash}`,
    })
    runtime.logger.error({ attempt: attempt.id, hash: attempt.hash }, 'nonce used by another transaction')
    return null
  }
  if (head.number >= attempt.plan.lastValidBlock)
    runtime.logger.error(
      { attempt: attempt.id, hash: attempt.hash, lastValidBlock: attempt.plan.lastValidBlock.toString() },
      'not mined in time: it can only revert now, and holds up its account until it does',
    )
  await submit(runtime, attempt)
  return null
}
