import type { Address } from 'viem'
import type { Agent } from '../../core/agent.ts'
import type { AttemptRecord } from '../../core/journal.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { ownerOf } from '../owner.ts'
import type { Runtime } from '../runtime.ts'
import { submit } from '../submit.ts'
import { isOnChain } from './isOnChain.ts'

/** How deep a settled attempt is looked at again, in blocks: no chain of proof of stake goes back further. */
const WATCHED = 64n

/**
 * Looks again at what was settled not long ago: when the block that decided it has left the chain, the settlement is
 * taken back, with all that was replaced by it, and the very bytes that were mined are sent again.
 *
 * @returns what was taken back
 */
export async function recheck(
  runtime: Runtime,
  agents: readonly Agent[],
  account: Address,
  head: BlockRef,
): Promise<readonly AttemptRecord[]> {
  const { journal, logger } = runtime
  const from = head.number > WATCHED ? head.number - WATCHED : 0n
  const settled = await journal.settledFrom(from, account)
  const onChain = new Map<string, boolean>()
  const back: AttemptRecord[] = []
  for (const { id, blockNumber: number, blockHash: hash, status } of settled) {
    if (number === null || hash === null) continue
    const there = onChain.get(hash) ?? (await isOnChain(runtime, { number, hash }))
    onChain.set(hash, there)
    if (there) continue
    logger.error(
      { attempt: id, status, block: number.toString(), hash },
      'settled, and its block left the chain',
    )
    back.push(await journal.advance(id, { to: 'reorged' }))
  }
  for (const attempt of back)
    if (attempt.raw !== null)
      await submit(runtime, attempt, runtime.policyOf((await ownerOf(runtime, agents, attempt)).id), head)
  return back
}
