import type { Address } from 'viem'
import type { Agent } from '../../runtime/core/agent.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { LiquidatorParams } from './params.ts'
import { liquidatorSignal } from './strategy.ts'

export type LiquidatorOptions = {
  readonly id: string
  readonly account: Address
  /** Whose positions it watches. */
  readonly users: readonly Address[]
  readonly params: LiquidatorParams
  /** Seconds until the next block, to which interest is projected. */
  readonly blockSeconds: bigint
}

/**
 * An agent that plays the liquidator strategy. It asks no model.
 *
 * @example createLiquidator({ id: 'liquidator', account, users: [borrower], params, blockSeconds: 12n })
 */
export function createLiquidator({ id, account, users, params, blockSeconds }: LiquidatorOptions): Agent {
  return {
    id: agentId(id),
    account,
    watch: () => ({
      positions: [account, ...users],
      assets: [params.collateral, params.debt],
      pools: [],
    }),
    analyse: async (snapshot) => liquidatorSignal(snapshot, params, snapshot.block.timestamp + blockSeconds),
  }
}
