import type { BlockId } from '../../core/ports.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import type { Policy } from '../../guards/policy.ts'
import { FinalityMissingError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'

/**
 * The newest block, as seen from a head, that is as deep as the policy asks before anything counts as known; null
 * while the chain is too short.
 *
 * @throws {FinalityMissingError} when the policy waits for finality, and the chain knows none.
 */
export async function deepestNeeded(
  runtime: Pick<Runtime, 'chain'>,
  { confirmations }: Policy,
  head: BlockRef,
): Promise<bigint | null> {
  if (confirmations === 'finalized') {
    const final = await runtime.chain.finalized()
    if (final === null) throw new FinalityMissingError(runtime.chain.chainId)
    return final.number
  }
  const number = head.number - BigInt(confirmations) + 1n
  return number < 0n ? null : number
}

/** Whether a block is as deep as the policy asks. That it is on the chain at all is for the caller to know. */
export async function isDeep(
  runtime: Pick<Runtime, 'chain'>,
  policy: Policy,
  block: Pick<BlockId, 'number'>,
  head: BlockRef,
): Promise<boolean> {
  const deep = await deepestNeeded(runtime, policy, head)
  return deep !== null && block.number <= deep
}
