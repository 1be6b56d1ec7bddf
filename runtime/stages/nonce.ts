import { type Address, isAddressEqual } from 'viem'
import type { BlockRef } from '../core/snapshot.ts'
import { NonceGapError } from './errors.ts'
import type { Runtime } from './runtime.ts'

/**
 * The next nonce of an account: the chain's count or the journal's, whichever is further, because an attempt that is
 * not mined yet holds its nonce.
 *
 * @throws {NonceGapError} when the chain has taken back what the journal holds for final: a transaction behind the
 * gap would never be mined. What was taken back is broadcast again, the same bytes.
 */
export async function freeNonce(runtime: Runtime, account: Address, { hash }: BlockRef): Promise<bigint> {
  const [mined, recorded] = await Promise.all([
    runtime.chain.nonce(account, hash),
    runtime.journal.nextNonce(account),
  ])
  if (recorded === null || recorded <= mined) return mined
  const takenBack = (await runtime.journal.attempts()).filter(
    ({ account: owner, nonce, status }) =>
      isAddressEqual(owner, account) && nonce >= mined && (status === 'confirmed' || status === 'reverted'),
  )
  if (takenBack.length === 0) return recorded
  for (const { id, raw } of takenBack) {
    runtime.logger.error({ attempt: id }, 'reorganised away after it was final: broadcast again')
    if (raw !== null) await runtime.chain.sendRaw(raw)
  }
  throw new NonceGapError(account, mined, recorded)
}
