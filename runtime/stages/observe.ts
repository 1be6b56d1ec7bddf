import type { Agent } from '../core/agent.ts'
import type { BlockRef, Snapshot } from '../core/snapshot.ts'
import { DEFAULT_ORACLE_TOLERANCE } from '../protocols/chainlink/judgeReading.ts'
import { readSnapshot } from '../protocols/readSnapshot.ts'
import type { Runtime } from './runtime.ts'

/**
 * Reads all that the agent watches, and the account's own position and wallet, at one block hash.
 *
 * @throws {BlockGoneError} when the chain no longer knows the block.
 */
export async function observe(
  runtime: Pick<Runtime, 'chain' | 'book' | 'policyOf'>,
  agent: Pick<Agent, 'id' | 'account' | 'watch'>,
  block: BlockRef,
): Promise<Snapshot> {
  const { oracle, riskReducing } = runtime.policyOf(agent.id)
  // A snapshot marks what not even a rescue may trust; the guards apply the tighter bound to everything else.
  const loosest =
    oracle.maxDeviation > riskReducing.oracle.maxDeviation
      ? oracle.maxDeviation
      : riskReducing.oracle.maxDeviation
  const watch = agent.watch()
  const positions = [...new Set([agent.account, ...watch.positions])]
  return readSnapshot(
    runtime.chain,
    block,
    runtime.book,
    agent.account,
    { ...watch, positions },
    {
      tolerance: { ...DEFAULT_ORACLE_TOLERANCE, maxPoolDeviation: loosest },
    },
  )
}
