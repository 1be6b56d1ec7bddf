/** For tests: a guardian of the position in `testSnapshot.ts`, and runs of it. */
import type { Agent, Analysis } from '../../runtime/core/agent.ts'
import { agentId, runId } from '../../runtime/core/ids.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { usd } from '../../runtime/core/units.ts'
import { createLendingGuardian } from './index.ts'
import type { LendingGuardianOptions } from './options.ts'
import { account, assets, pool, snapshotOf, thresholds } from './testSnapshot.ts'

const id = agentId('guardian')

/** All options but these; without a model unless one is given. */
export const testOptions: LendingGuardianOptions = {
  id,
  account,
  thresholds,
  assets: [assets.weth, assets.usdc],
  pools: [pool],
  wrappedNative: assets.weth,
  model: null,
}

export const testGuardian = (options: Partial<LendingGuardianOptions> = {}): Agent =>
  createLendingGuardian({ ...testOptions, ...options })

/** One run of an agent on a snapshot. */
export function analyse(
  agent: Agent,
  snapshot: Snapshot,
  signal = new AbortController().signal,
  epoch = 'epoch',
): Promise<Analysis> {
  const run = runId(agent.id, snapshot.block.hash)
  return agent.analyse(snapshot, { runId: run, threadId: `${epoch}/${run}`, signal })
}

/** Health factor 1.1, under the trigger. Its candidates: c1 repay, c2 deleverage, c3 wait. */
export const worried = snapshotOf({ wallet: { usdc: 600n * 10n ** 6n } })
/** Health factor 1.04, under the hard floor, with the same candidates. */
export const urgent = snapshotOf({ price: usd(1_513n * 10n ** 8n), wallet: { usdc: 600n * 10n ** 6n } })
