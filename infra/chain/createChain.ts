import type { Address } from 'viem'
import type { Chain } from '../../runtime/core/ports.ts'
import { nodeChain } from './nodeChain.ts'
import { parseRpcUrl } from './parseRpcUrl.ts'
import { openPrivateRoute, type PrivateRouteParameters } from './privateRoute.ts'
import { probe } from './probe.ts'
import { createRpc, type Requester } from './rpc.ts'

export type CreateChainParameters = {
  /** `http:` or `https:`; with a `requester`, any URL that names the endpoint. */
  readonly rpcUrl: string
  readonly chainId: number
  readonly multicall3: Address
  /** Another way to the node than HTTP, such as a socket shared with a backtest. */
  readonly requester?: Requester
  /** Where transactions go that not everybody is to see before they are mined. */
  readonly privateRoute?: PrivateRouteParameters
  /** Milliseconds for one request, retries and all. Default 10,000. */
  readonly timeout?: number
  /** Further tries of a read that got no answer. Default 2. */
  readonly retries?: number
}

/**
 * Opens a chain through one node, after making sure that it is the right one and can do what Rialto needs of it.
 *
 * Requests are not batched: `read` is one request already, most others go alone, and one that goes alone takes twice
 * as long when the transport waits for company (on anvil, 3.6 against 1.7 ms). A batch also shares one fate.
 *
 * @throws {InvalidInputError} when the URL is none.
 * @throws {RpcUnreachableError} when nobody answers.
 * @throws {WrongChainError} when the RPC serves another chain.
 * @throws {SimulationUnsupportedError} when it has no working `eth_simulateV1`.
 * @throws {MulticallMissingError} when there is no code at `multicall3`.
 * @example const chain = await createChain({ rpcUrl: 'http://127.0.0.1:8545', chainId: 31_337, multicall3 })
 */
export async function createChain(parameters: CreateChainParameters): Promise<Chain> {
  const { rpcUrl, chainId, multicall3, requester, privateRoute, timeout = 10_000, retries = 2 } = parameters
  const url = parseRpcUrl(rpcUrl, requester !== undefined)
  const rpc = createRpc({ url, timeout, retries, ...(requester === undefined ? {} : { requester }) })
  await probe(rpc, { chainId, multicall3 })
  return nodeChain({
    rpc,
    chainId,
    multicall3,
    privateRoute: privateRoute === undefined ? null : openPrivateRoute({ timeout, ...privateRoute }),
  })
}
