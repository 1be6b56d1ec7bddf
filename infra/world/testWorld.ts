import {
  type Account,
  type Chain,
  createTestClient,
  createWalletClient,
  defineChain,
  type HttpTransport,
  http,
  type PublicActions,
  publicActions,
  type TestClient,
  type WalletClient,
} from 'viem'
import { afterAll } from 'vitest'
import { createRpc, type Rpc } from './rpc.ts'
import { startWorld, type World, type WorldOptions } from './world.ts'

/** A world with what a test wants to have at hand. */
export type TestWorld = World & {
  readonly chain: Chain
  /** Reads, and moves the chain (mine, impersonate, snapshot). Nothing is cached. */
  readonly client: TestClient<'anvil', HttpTransport, Chain> & PublicActions<HttpTransport, Chain>
  /** Sends as an account. */
  wallet(account: Account): WalletClient<HttpTransport, Chain, Account>
  readonly rpc: Rpc
}

/**
 * A fresh world for one test file, from the cached state, stopped after the file's last test. It mines a block
 * for every transaction unless `automine: false`.
 *
 * @example
 * const world = await testWorld()
 * const price = await world.client.readContract({ address: world.addressBook.aaveV3.oracle, abi, functionName })
 */
export async function testWorld(options: WorldOptions = {}): Promise<TestWorld> {
  const world = await startWorld({ automine: true, ...options })
  afterAll(() => world.stop())
  const chain: Chain = defineChain({
    id: world.chainId,
    name: 'Rialto world',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [world.url] } },
    contracts: { multicall3: { address: world.addressBook.multicall3 } },
  })
  const transport = http(world.url, { retryCount: 0, timeout: 60_000 })
  const shared = { chain, transport, pollingInterval: 10, cacheTime: 0 }
  return {
    ...world,
    chain,
    client: createTestClient({ ...shared, mode: 'anvil' }).extend(publicActions),
    wallet: (account) => createWalletClient({ ...shared, account }),
    rpc: createRpc(world.url),
  }
}
