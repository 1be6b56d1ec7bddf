import type { Address } from 'viem'
import type { BlockRef } from '../../core/snapshot.ts'
import { NonceGapError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { readNonces } from './readNonces.ts'

/**
 * The next nonce of an account: after all that the chain counts, the journal holds and the signer signed for. What is to
 * be mined on it needs every nonce before it used, so nothing is put behind a gap.
 *
 * @param head whose count it is
 * @throws {NonceGapError}
 */
export async function freeNonce(runtime: Runtime, account: Address, head: BlockRef): Promise<bigint> {
  const { next, gaps } = await readNonces(runtime, account, head)
  if (gaps.length > 0) throw new NonceGapError(account, gaps)
  return next
}
