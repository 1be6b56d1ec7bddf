import { type Address, isAddressEqual } from 'viem'
import type { BlockRef } from '../core/snapshot.ts'
import { NonceGapError } from './errors.ts'
import type { Runtime } from './runtime.ts'

/**
 * The next nonce of an account: the chain's count. Nothing is in flight when this is asked, but for what can change
 * nothing any more, so the journal agrees, unless there is a gap that nothing could be mined behind:
 *
 * - the chain took back what the journal holds for final: that is broadcast again, the same bytes;
 * - somebody else used the first nonce of an attempt that was to use two. The second one is neither free, since the
 *   authorisation on it is out and anybody may apply it, nor will the attempt use it.
 *
 * @param head whose count it is
 * @throws {NonceGapError}
 */
export async function freeNonce(runtime: Runtime, account: Address, head: BlockRef): Promise<bigint> {
  const [mined, recorded] = await Promise.all([
    runtime.chain.nonce(account, head.hash),
    runtime.journal.nextNonce(account),
  ])
  if (recorded === null || recorded <= mined) return mined
  for (const { id, account: owner, nonce, status, raw } of await runtime.journal.attempts()) {
    const isFinal = status === 'confirmed' || status === 'reverted'
    if (!isFinal || raw === null || nonce < mined || !isAddressEqual(owner, account)) continue
    runtime.logger.error({ attempt: id }, 'reorganised away after it was final: broadcast again')
    await runtime.chain.sendRaw(raw)
  }
  throw new NonceGapError(account, mined, recorded)
}
