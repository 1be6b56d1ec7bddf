import type { BaseCheckpointSaver } from '@langchain/langgraph'
import type { Address } from 'viem'
import { createLendingGuardian, type LendingGuardianOptions } from '../agents/lending-guardian/index.ts'
import type { AddressBook } from '../runtime/core/addressBook.ts'
import type { Agent } from '../runtime/core/agent.ts'
import { InvalidInputError } from '../runtime/core/errors.ts'
import { createLiquidator } from '../strategies/liquidator/createLiquidator.ts'
import { defaultLiquidatorParams } from '../strategies/liquidator/params.ts'
import type { AgentRole } from './config/configFile.ts'
import type { AgentConfig } from './config/loadConfig.ts'

/** What an agent is made of, whatever its role. */
export type AgentParts = {
  readonly config: Pick<AgentConfig, 'id' | 'role' | 'policy'>
  readonly account: Address
  readonly book: AddressBook
  readonly model: LendingGuardianOptions['model']
  readonly checkpointer: BaseCheckpointSaver
  readonly blockSeconds: number
  /** Whose positions a liquidator watches. */
  readonly users: readonly Address[]
}

/**
 * What a guardian of an account goes by, but for its model: the protector goes by the very same.
 *
 * @example createRule(guardianOptions({ config, account, book, blockSeconds: 12 }))
 */
export const guardianOptions = ({
  config,
  account,
  book,
  blockSeconds,
}: Pick<AgentParts, 'config' | 'account' | 'book' | 'blockSeconds'>) => ({
  id: config.id,
  account,
  thresholds: config.policy.healthFactor,
  assets: book.aaveV3.reserves.map(({ asset }) => asset),
  pools: book.uniswapV3.pools.map(({ address }) => address),
  wrappedNative: book.wrappedNative,
  blockSeconds,
  maxSlippage: config.policy.riskReducing.slippage.oracle,
  // In a crash the pool falls in the very block that the rescue is mined in. A rescue that reverts for that saves
  // nothing, so it may cost as much more as the owner lets a rescue slip.
  quoteTolerance: config.policy.riskReducing.slippage.pool,
  // An answer that comes a block late is about a market that is gone.
  modelTimeout: Math.min(20_000, blockSeconds * 1_000),
  validForBlocks: BigInt(config.policy.intentExpiryBlocks),
})

/** One maker a role. A new agent is a line here. */
const makers: Readonly<Record<AgentRole, (parts: AgentParts) => Agent>> = {
  'lending-guardian': (parts) =>
    createLendingGuardian({
      ...guardianOptions(parts),
      model: parts.model,
      checkpointer: parts.checkpointer,
    }),
  liquidator: ({ config, account, book, users, blockSeconds }) =>
    createLiquidator({
      id: config.id,
      account,
      users,
      params: { ...defaultLiquidatorParams, ...pairOf(book) },
      blockSeconds: BigInt(blockSeconds),
    }),
}

/** @throws {InvalidInputError} when the address book lacks what the role needs. */
export const createAgent = (parts: AgentParts): Agent => makers[parts.config.role](parts)

/** The liquidator seizes the wrapped native coin for the first other reserve. */
function pairOf(book: AddressBook): { collateral: Address; debt: Address } {
  const debt = book.aaveV3.reserves.find(({ asset }) => asset !== book.wrappedNative)?.asset
  if (debt === undefined)
    throw new InvalidInputError('The address book lists no reserve that a liquidator could repay.', {
      fix: 'Add one to aaveV3.reserves.',
    })
  return { collateral: book.wrappedNative, debt }
}
