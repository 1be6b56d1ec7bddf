import type { Address } from 'viem'
import type { Logger } from '../../runtime/core/ports.ts'
import type { PrivateRouteKind } from './privateRoute.ts'
import type { QuorumChain } from './quorum/composeChain.ts'
import { createQuorumChain } from './quorum/createQuorumChain.ts'

/** A chain as the configuration describes it. */
export type ChainSettings = {
  readonly nodes: readonly { readonly url: string; readonly requestsPerSecond: number | null }[]
  readonly quorum: number
  readonly privateRoute: {
    readonly url: string
    readonly kind: PrivateRouteKind
    readonly maxBlocks: number | null
  } | null
  readonly chainId: number
  readonly addressBook: { readonly multicall3: Address }
}

/**
 * Opens the chain that is configured, through one node or several.
 *
 * @throws as `createQuorumChain` does.
 * @example const chain = await openChain(config.chain, logger)
 */
export const openChain = (settings: ChainSettings, logger: Logger): Promise<QuorumChain> =>
  createQuorumChain({
    nodes: settings.nodes.map(({ url, requestsPerSecond }) => ({
      url,
      ...(requestsPerSecond === null ? {} : { requestsPerSecond }),
    })),
    quorum: settings.quorum,
    chainId: settings.chainId,
    multicall3: settings.addressBook.multicall3,
    ...(settings.privateRoute === null ? {} : { privateRoute: routeOf(settings.privateRoute) }),
    logger,
  })

const routeOf = ({ url, kind, maxBlocks }: NonNullable<ChainSettings['privateRoute']>) => ({
  url,
  kind,
  ...(maxBlocks === null ? {} : { maxBlocks }),
})
