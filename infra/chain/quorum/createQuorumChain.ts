import type { Address } from 'viem'
import { NoQuorumError } from '../../../runtime/core/chainErrors.ts'
import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'
import type { Logger } from '../../../runtime/core/ports.ts'
import { SimulationUnsupportedError } from '../errors.ts'
import { openPrivateRoute, type PrivateRouteParameters } from '../privateRoute.ts'
import type { Requester } from '../rpc.ts'
import { type ChainNode, createChainNode } from './chainNode.ts'
import { composeChain, type QuorumChain } from './composeChain.ts'
import { phraseOf } from './health.ts'
import { majorityOf } from './majorityOf.ts'
import { sameNode } from './sameNode.ts'
import { systemTimer, type Timer } from './timer.ts'

export type RpcNode = {
  /** `http:` or `https:`. May hold a key: only its host is ever shown. */
  readonly url: string
  /** The most requests per second that it is sent; as many as are wanted when absent. */
  readonly requestsPerSecond?: number
  /** Another way to the node than HTTP. */
  readonly requester?: Requester
}

export type CreateQuorumChainParameters = {
  /** In the order in which reads prefer them. */
  readonly nodes: readonly RpcNode[]
  /** How many have to agree. Default: more than half of them. */
  readonly quorum?: number
  readonly chainId: number
  readonly multicall3: Address
  readonly privateRoute?: PrivateRouteParameters
  readonly logger: Logger
  /** Milliseconds for one request. Default 10,000. */
  readonly timeout?: number
  /** After how many milliseconds of silence a read tries the next node too. Default 1,500. */
  readonly patience?: number
  /** How long to wait for the heads of the other nodes once a quorum has told its own, in milliseconds. Default 1,000. */
  readonly grace?: number
  readonly timer?: Timer
}

/**
 * Opens a chain through several nodes, of which a quorum has to agree on all that money hangs on.
 *
 * A node that serves another chain is refused, and so is one on which Multicall3 is not where the address book says.
 * One that does not answer yet may join later, as long as a quorum is there.
 *
 * @throws {InvalidInputError} when a URL is none, two nodes have one host, or the quorum is not between 1 and their
 * number.
 * @throws {WrongChainError} naming a node that serves another chain.
 * @throws {MulticallMissingError} when there is no code at `multicall3`.
 * @throws {SimulationUnsupportedError} when no node has a working `eth_simulateV1`.
 * @throws {RpcUnreachableError} when there is one node, and it does not answer.
 * @throws {NoQuorumError} when fewer than a quorum answer, or they do not agree on the genesis block.
 * @example
 * const chain = await createQuorumChain({
 *   nodes: [{ url: 'https://a.example.org' }, { url: 'https://b.example.org' }, { url: 'https://c.example.net' }],
 *   chainId: 1, multicall3, logger,
 * })
 * chain.nodes().map(({ host, state }) => `${host} ${state}`)
 */
export async function createQuorumChain(parameters: CreateQuorumChainParameters): Promise<QuorumChain> {
  const { chainId, multicall3, logger, timeout = 10_000, timer = systemTimer } = parameters
  const { quorum = majorityOf(parameters.nodes.length) } = parameters
  // What there is instead of another try is another node.
  const retries = parameters.nodes.length === 1 ? 2 : 0
  const nodes = parameters.nodes.map(({ url, requestsPerSecond, requester }) =>
    createChainNode({
      url,
      requestsPerSecond: requestsPerSecond ?? null,
      ...{ chainId, multicall3, timeout, retries, timer, logger },
      ...(requester === undefined ? {} : { requester }),
    }),
  )
  assertSound(
    parameters.nodes.map(({ url }) => url),
    quorum,
  )
  await proveAll(nodes, quorum, logger)
  const { privateRoute } = parameters
  const chain = composeChain({
    nodes,
    quorum,
    chainId,
    logger,
    timer,
    privateRoute: privateRoute === undefined ? null : openPrivateRoute({ timeout, ...privateRoute }),
    ...(parameters.patience === undefined ? {} : { patience: parameters.patience }),
    ...(parameters.grace === undefined ? {} : { grace: parameters.grace }),
  })
  await chain.genesisHash()
  return chain
}

function assertSound(urls: readonly string[], quorum: number): void {
  const twice = urls.find((url, index) => urls.findIndex((other) => sameNode(other, url)) !== index)
  if (twice !== undefined)
    throw new InvalidInputError(`The RPC at ${new URL(twice).host} is named twice, and would vote twice.`, {
      code: 'RPC_NAMED_TWICE',
      fix: 'Name it once.',
      details: { host: new URL(twice).host },
    })
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > urls.length)
    throw new InvalidInputError(`A quorum of ${quorum} cannot be had from ${urls.length} RPCs.`, {
      code: 'QUORUM_INVALID',
      fix: `Set it between 1 and ${urls.length}.`,
      details: { quorum, nodes: urls.length },
    })
}

/** Proves what answers. What makes a node unfit for good is thrown; what may pass is not, as long as a quorum is left. */
async function proveAll(nodes: readonly ChainNode[], quorum: number, logger: Logger): Promise<void> {
  const failures = await Promise.all(
    nodes.map((node) =>
      node.prove().then(
        () => null,
        (error: unknown) => {
          if (error instanceof RialtoError) return { node, error }
          throw error
        },
      ),
    ),
  )
  const failed = failures.filter((failure) => failure !== null)
  const final = failed.find(({ error }) => !error.retryable)
  if (final !== undefined) throw final.error
  const [first] = failed
  if (first !== undefined && nodes.length - failed.length < quorum)
    throw nodes.length === 1
      ? first.error
      : new NoQuorumError(
          'anything: too few answer',
          quorum,
          failed.map(({ node, error }) => `${node.host}: ${phraseOf(error)}`),
        )
  for (const { node, error } of failed)
    logger.warn(
      { host: node.host, trouble: phraseOf(error) },
      'An RPC does not answer yet; it may join later',
    )
  const blind = nodes.find((node) => node.state() !== 'unproven' && !node.simulates())
  if (blind !== undefined && nodes.every((node) => node.state() === 'unproven' || !node.simulates()))
    throw new SimulationUnsupportedError(blind.host, 'neither it nor any other has a working eth_simulateV1')
}
