import { describe } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { chainConformance } from './chain.ts'

const world = await testWorld({ automine: false })
const parameters = { rpcUrl: world.url, chainId: world.chainId, multicall3: world.addressBook.multicall3 }

describe('Chain over HTTP', () => {
  chainConformance(world, () => createChain(parameters))
})

describe('Chain over a requester of the caller', () => {
  const request = (args: { method: string; params: unknown }) => world.client.request(args as never)
  chainConformance(world, () => createChain({ ...parameters, requester: { request } }))
})
