import type { Agent } from '../core/agent.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { readSnapshot } from '../protocols/readSnapshot.ts'
import type { Runtime } from './runtime.ts'

/**
 * Reads all that the agent watches, and the account's own position and wallet, at one block hash.
 *
 * @throws {BlockGoneError} when the chain no longer knows the block.
 */
export async function observe(runtime: Runtime, agent: Agent, block: BlockRef): Promise<Snapshot> {
  const watch = agent.watch()
  const { oracle } = runtime.policyOf(agent.id)
  return readSnapshot(runtime.chain, runtime.book, block, {
    account: agent.account,
    positions: watch.positions,
    assets: watch.assets,
    pools: watch.pools,
    maxOracleAge: oracle.maxAgeSeconds,
    maxOracleDeviation: oracle.maxDeviation,
  })
}
