import { createRule, type Ruled } from '../../agents/lending-guardian/rule.ts'
import { describeError } from '../../runtime/core/errors.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { Chain, Logger, Signer } from '../../runtime/core/ports.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { createProtector, type Protection } from '../../runtime/protector/createProtector.ts'
import { USDC, WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { followHeads } from './heads.ts'
import { BLOCK_SECONDS } from './network.ts'
import type { Process } from './ports.ts'
import { ACCOUNT, book } from './scene.ts'
import type { Scheduler } from './scheduler.ts'

export type ProtectorParameters = {
  readonly process: Process
  readonly chain: Chain
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly policy: Policy
  readonly graceBlocks: bigint
  readonly orders: () => TradingState
  /** A defect: what its rule makes of what it decided. Default: as it is. */
  readonly rule?: ((ruled: Ruled) => Ruled) | undefined
  readonly logger: Logger
  readonly scheduler: Scheduler
  /** Told of everything that it did about a block. */
  readonly onDeed: (kind: Protection['kind']) => void
  readonly exit: (why: string) => void
}

/** The protector's process, as `infra/protector/runProtector.ts` has it, with the guardian's own rule. */
export function startProtector(parameters: ProtectorParameters): void {
  const { process, chain, signer, policy, graceBlocks, orders, logger, scheduler, onDeed, exit } = parameters
  const { rule: change = (ruled) => ruled } = parameters
  const pools = book.uniswapV3.pools.map(({ address }) => address)
  const assets = [WETH, USDC]
  const id = agentId('rescuer')
  const rule = createRule({
    id,
    account: ACCOUNT,
    thresholds: policy.healthFactor,
    assets,
    pools,
    wrappedNative: book.wrappedNative,
    blockSeconds: BLOCK_SECONDS,
    maxSlippage: policy.riskReducing.slippage.oracle,
    quoteTolerance: policy.riskReducing.slippage.pool,
    validForBlocks: BigInt(policy.intentExpiryBlocks),
  })
  const protector = createProtector({
    chain,
    signer,
    logger,
    book,
    guarded: { id, account: ACCOUNT, watch: () => ({ positions: [ACCOUNT], assets, pools }) },
    policy,
    rule: (snapshot) => change(rule(snapshot)),
    orders,
    blockSeconds: BigInt(BLOCK_SECONDS),
    graceBlocks,
    explainRevert: (data) => `reverted with ${data.slice(0, 10)}`,
  })
  followHeads(process, scheduler, chain, async (head) => {
    try {
      const { kind, reason } = await protector.atHead(head)
      if (kind !== 'well') scheduler.note(`${process.name} ${kind}: ${reason.slice(0, 120)}`)
      onDeed(kind)
    } catch (error) {
      // It goes on in the next block.
      scheduler.note(`${process.name} does not protect: ${describeError(error).slice(0, 120)}`)
    }
  }).catch((error: unknown) => exit(describeError(error)))
}
