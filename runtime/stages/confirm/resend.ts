import type { BlockRef } from '../../core/snapshot.ts'
import type { Policy } from '../../guards/policy.ts'
import type { Runtime } from '../runtime.ts'
import { newestSigned, type Slot } from '../slot.ts'
import { submit } from '../submit.ts'

/**
 * Sees to it that one of a nonce's attempts is in the pools: the same bytes are sent again when no node holds any of
 * them. What was never sent is sent in any case. A pool that holds an older one needs the newer no more than that: both
 * are on one nonce, and when it waits too long it is replaced again.
 */
export async function resend(runtime: Runtime, policy: Policy, slot: Slot, head: BlockRef): Promise<void> {
  let isHeld = false
  for (const { id, hash, status } of slot) {
    const seen = hash === null ? null : await runtime.chain.transaction(hash)
    if (seen === null) continue
    isHeld = true
    // In a block that the quorum does not have yet: the receipt will say.
    if (seen.block === null && status !== 'pending') await runtime.journal.advance(id, { to: 'pending' })
  }
  const newest = newestSigned(slot)
  if (newest === null || (isHeld && newest.status !== 'signed')) return
  await submit(runtime, newest, policy, head, slot[0])
}
