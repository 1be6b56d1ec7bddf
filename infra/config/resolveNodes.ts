import { majorityOf } from '../chain/quorum/majorityOf.ts'
import { sameNode } from '../chain/quorum/sameNode.ts'
import type { ParsedConfigFile } from './configFile.ts'
import type { ConfigIssue } from './errors.ts'
import { type Environment, splitList } from './loadEnvironment.ts'
import { redactUrl } from './redactUrl.ts'

/** A node of the chain. */
export type NodeConfig = {
  /** May hold a key: never shown but through `redactUrl`. */
  readonly url: string
  /** Null: as often as wanted. */
  readonly requestsPerSecond: number | null
}

/** Where transactions go that not everybody is to see before they are mined. */
export type PrivateRouteConfig = {
  /** May hold a key: never shown but through `redactUrl`. */
  readonly url: string
  readonly kind: 'send-private' | 'protected-rpc'
  /** Null: as many as its operator keeps them for. */
  readonly maxBlocks: number | null
}

/** The nodes of a chain, and how many of them have to agree. */
export type NodesConfig = {
  /** In the order in which reads prefer them; no two on one host. */
  readonly nodes: readonly NodeConfig[]
  readonly quorum: number
  /** Null: there is none. */
  readonly privateRoute: PrivateRouteConfig | null
}

type RpcSection = Extract<NonNullable<ParsedConfigFile['chain']>, { kind: 'rpc' }>

/** The nodes that the environment names, or else the file. */
export function resolveNodes(chain: RpcSection, environment: Environment): NodesConfig {
  const nodes = nodesOf(chain, environment)
  const { private: route } = chain
  return {
    nodes,
    quorum: chain.quorum ?? majorityOf(nodes.length),
    privateRoute:
      route === undefined ? null : { url: route.url, kind: route.kind, maxBlocks: route.maxBlocks ?? null },
  }
}

function nodesOf(chain: RpcSection, { rpcUrl }: Environment): readonly NodeConfig[] {
  if (rpcUrl !== undefined) return splitList(rpcUrl).map((url) => ({ url, requestsPerSecond: null }))
  const named = chain.rpcUrls ?? (chain.rpcUrl === undefined ? [] : [chain.rpcUrl])
  return named.map((node) =>
    typeof node === 'string'
      ? { url: node, requestsPerSecond: null }
      : { url: node.url, requestsPerSecond: node.requestsPerSecond ?? null },
  )
}

/** What cannot be meant by the nodes of a chain, although each value alone is well formed. */
export function* nodeContradictions(chain: RpcSection, environment: Environment): Generator<ConfigIssue> {
  if (chain.rpcUrl !== undefined && chain.rpcUrls !== undefined)
    yield {
      path: ['chain', 'rpcUrl'],
      message: 'is set, and so is rpcUrls: put all RPCs into rpcUrls, and remove rpcUrl',
    }
  const nodes = nodesOf(chain, environment)
  const fromEnvironment = environment.rpcUrl !== undefined
  if (nodes.length === 0)
    yield { path: ['chain', 'rpcUrl'], message: 'is missing: set it, or RIALTO_RPC_URL' }
  for (const [index, { url }] of nodes.entries()) {
    const first = nodes.findIndex((other) => sameNode(other.url, url))
    if (first < index)
      yield {
        path: fromEnvironment ? ['chain'] : ['chain', 'rpcUrls', index],
        message: `${fromEnvironment ? 'by RIALTO_RPC_URL ' : ''}(${redactUrl(url)}) names a node that is named before: it would vote twice; name it once`,
      }
  }
  if (nodes.length > 0 && chain.quorum !== undefined && chain.quorum > nodes.length)
    yield {
      path: ['chain', 'quorum'],
      message: `is ${chain.quorum}, but only ${nodes.length} ${nodes.length === 1 ? 'RPC is' : 'RPCs are'} named${fromEnvironment ? ' by RIALTO_RPC_URL' : ''}: lower it, or name more`,
    }
  if (chain.private?.kind === 'protected-rpc' && chain.private.maxBlocks !== undefined)
    yield {
      path: ['chain', 'private', 'maxBlocks'],
      message: 'means nothing to a protected RPC: remove it, or use "send-private"',
    }
}
