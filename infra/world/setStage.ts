import { type Address, parseEther, parseUnits } from 'viem'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { fundAccounts } from './fundAccounts.ts'
import { openPositions } from './openPositions.ts'
import { BLOCK_SECONDS, type World } from './world.ts'

/** Who is on stage. The twin holds what the guarded account holds, and nobody watches over it. */
export type Cast = { readonly guarded: Address; readonly twin: Address; readonly liquidator: Address }

/**
 * The borrowers' position at the world's 2,000 dollars per ETH: health factor 1.30. The wallet holds 4 % of the
 * debt, so that topping up cannot save it: it has to be unwound through a swap.
 */
export const POSITION = {
  collateral: tokenAmount(parseEther('40')),
  debt: tokenAmount(parseUnits('50769', 6)),
  walletUsdc: tokenAmount(parseUnits('2030', 6)),
  walletEth: wei(parseEther('2')),
} as const

/** The liquidator has enough to liquidate both of them whole. */
const LIQUIDATOR = { eth: wei(parseEther('50')), usdc: tokenAmount(parseUnits('500000', 6)) } as const

/**
 * Sets the stage: two borrowers with the same leveraged position, and a liquidator with dollars.
 *
 * @throws {WorldTransactionError} when Aave refuses.
 */
export async function setStage(world: World, cast: Cast, head: BlockRef): Promise<void> {
  const after = (blocks: number) => ({ timestamp: head.timestamp + BigInt(blocks * BLOCK_SECONDS) })
  await openPositions(
    world,
    [cast.guarded, cast.twin].map((account) => ({ account, ...POSITION })),
    after(1),
  )
  await fundAccounts(world, [{ account: cast.liquidator, ...LIQUIDATOR }], after(2))
}
