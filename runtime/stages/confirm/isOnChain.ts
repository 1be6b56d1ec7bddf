import { BlockGoneError } from '../../core/chainErrors.ts'
import type { BlockId } from '../../core/ports.ts'
import type { Runtime } from '../runtime.ts'

/**
 * Whether the chain has this very block at its height, as a quorum says. One that is higher than the head is not on it.
 *
 * @throws {BlockGoneError} when the nodes have a longer chain, and do not tell of the block.
 */
export async function isOnChain({ chain }: Runtime, { number, hash }: BlockId): Promise<boolean> {
  try {
    return (await chain.block(number)).hash === hash
  } catch (error) {
    if (!(error instanceof BlockGoneError) || (await chain.head()).number >= number) throw error
    return false
  }
}
