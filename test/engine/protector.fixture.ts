import { createRule } from '../../agents/lending-guardian/rule.ts'
import { decodeRevert } from '../../infra/chain/decodeRevert.ts'
import { createProtector, type ProtectorOptions } from '../../runtime/protector/createProtector.ts'
import type { Engine } from './engine.fixture.ts'

/** A protector beside an engine: on its chain, by its signer and policy, for its account. */
export function protectorOf({ agent, policy, runtime }: Engine, changes: Partial<ProtectorOptions> = {}) {
  const { book, chain, signer, logger, blockSeconds } = runtime
  return createProtector({
    chain,
    signer,
    logger,
    book,
    guarded: agent,
    policy,
    rule: createRule({
      id: agent.id,
      account: agent.account,
      thresholds: policy.healthFactor,
      assets: book.aaveV3.reserves.map(({ asset }) => asset),
      pools: book.uniswapV3.pools.map(({ address }) => address),
      wrappedNative: book.wrappedNative,
      maxSlippage: policy.riskReducing.slippage.oracle,
      quoteTolerance: policy.riskReducing.slippage.pool,
    }),
    orders: () => 'active',
    blockSeconds,
    graceBlocks: 0n,
    explainRevert: decodeRevert,
    ...changes,
  })
}
