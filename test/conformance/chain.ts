import { parseEther } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { test as vitestTest } from 'vitest'
import type { TestWorld } from '../../infra/world/testWorld.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import type { ChainBench } from './chainBench.ts'
import { chainReads } from './chainReads.ts'
import { chainTransactions } from './chainTransactions.ts'

/**
 * What every implementation of the `Chain` port must do, shown on a world: what it reads, and what it sends and follows.
 *
 * @param world mines when it is told to
 * @param open opens the implementation on that world; called once per test
 * @param without tests that do not concern the implementation, by name, each with the reason
 */
export function chainConformance(
  world: TestWorld,
  open: () => Promise<Chain>,
  without: Readonly<Record<string, string>> = {},
): void {
  const { client } = world
  const bench: ChainBench = {
    world,
    open,
    test: (name, work) =>
      name in without ? vitestTest.skip(`${name} (${without[name]})`) : vitestTest(name, work),
    async freshAccount() {
      const account = privateKeyToAccount(generatePrivateKey())
      await client.setBalance({ address: account.address, value: parseEther('10') })
      await client.mine({ blocks: 1 })
      return account
    },
    async reorganise() {
      // An equal block would have the same hash.
      await client.setCoinbase({ address: privateKeyToAccount(generatePrivateKey()).address })
      await world.rpc('anvil_reorg', 1, [])
    },
  }
  chainReads(bench)
  chainTransactions(bench)
}
