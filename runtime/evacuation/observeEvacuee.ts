import type { BlockRef } from '../core/snapshot.ts'
import { observe } from '../stages/observe.ts'
import type { EvacuationOptions } from './createEvacuation.ts'
import type { EvacuationScene } from './nextStep.ts'
import { readAllowances } from './readAllowances.ts'

/** Everything that the rule goes by, at one block. */
export async function observeEvacuee(
  {
    chain,
    book,
    agent,
    account,
    policy,
    search,
    blockSeconds,
  }: Pick<EvacuationOptions, 'chain' | 'book' | 'agent' | 'account' | 'policy' | 'search' | 'blockSeconds'>,
  head: BlockRef,
): Promise<EvacuationScene> {
  const watch = () => ({
    positions: [account],
    assets: book.aaveV3.reserves.map(({ asset }) => asset),
    pools: book.uniswapV3.pools.map(({ address }) => address),
  })
  // Asked first: whoever is found after this is seen on the next block.
  const isSearching = !search.isOver()
  const [snapshot, allowances] = await Promise.all([
    observe({ chain, book, policyOf: () => policy }, { id: agent, account, watch }, head),
    readAllowances(chain, head.hash, book, account, search.found()),
  ])
  return { snapshot, allowances, isSearching, policy, wrappedNative: book.wrappedNative, blockSeconds }
}
