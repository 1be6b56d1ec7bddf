import type { Address } from 'viem'
import { type Bps, bps } from '../../runtime/core/units.ts'

export type LiquidatorParams = {
  /** What is seized. */
  readonly collateral: Address
  /** What is repaid, from the wallet. */
  readonly debt: Address
  /** How much less collateral than projected is still accepted, because the price moves before the block is mined. */
  readonly seizeTolerance: Bps
  /** Blocks for which an intent holds. */
  readonly expiryBlocks: bigint
}

/** What the local world's liquidator plays with. */
export const defaultLiquidatorParams = {
  seizeTolerance: bps(300n),
  expiryBlocks: 3n,
} satisfies Omit<LiquidatorParams, 'collateral' | 'debt'>
