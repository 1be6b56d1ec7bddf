import { afterAll, beforeEach, describe } from 'vitest'
import { createQuorumChain } from '../../infra/chain/quorum/createQuorumChain.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { startRpcProxy } from '../proxy/rpcProxy.ts'
import { chainConformance } from './chain.ts'

// One chain behind three doors: every node tells the truth in the first part, and one at a time does not in the others.

const world = await testWorld({ automine: false })
const proxies = [
  await startRpcProxy(world.url),
  await startRpcProxy(world.url),
  await startRpcProxy(world.url),
]
afterAll(() => Promise.all(proxies.map((proxy) => proxy.close())))
beforeEach(() => {
  for (const proxy of proxies) proxy.reset()
})

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const open = (urls: readonly string[]) =>
  createQuorumChain({
    nodes: urls.map((url) => ({ url })),
    chainId: world.chainId,
    multicall3: world.addressBook.multicall3,
    logger: quiet,
  })

describe('Chain over one node of a quorum of one', () => {
  chainConformance(world, () => open([world.url]))
})

describe('Chain over three nodes', () => {
  chainConformance(world, () => open(proxies.map(({ url }) => url)))
})

describe('Chain over three nodes, of which one does not answer', () => {
  beforeEach(() => {
    proxies[0]?.on({ method: /^eth_(?!chainId)/, fault: { kind: 'refuse' } })
  })
  chainConformance(world, () => open(proxies.map(({ url }) => url)))
})
