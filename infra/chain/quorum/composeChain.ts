import { RouteMissingError } from '../../../runtime/core/chainErrors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import type { Chain, Logger } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import type { PrivateRoute } from '../privateRoute.ts'
import type { ChainNode } from './chainNode.ts'
import { failOver, readingOrder } from './failOver.ts'
import { createHeads } from './heads.ts'
import type { NodeState } from './health.ts'
import {
  blockQuestion,
  genesisQuestion,
  nonceQuestion,
  receiptQuestion,
  transactionAtQuestion,
  transactionQuestion,
} from './questions.ts'
import { sendToAll } from './sendToAll.ts'
import { createStanding } from './standing.ts'
import type { Timer } from './timer.ts'
import { type Question, vote } from './votes.ts'

/** A node as an operator sees it. */
export type NodeStatus = {
  readonly host: string
  readonly state: NodeState
  /** Why it is expelled or unproven; null when neither is so. */
  readonly trouble: string | null
  readonly simulates: boolean
  /** The newest block that it said it has; null before its first answer. */
  readonly head: bigint | null
  readonly requests: number
  readonly failures: number
  /** Times it wanted fewer requests. */
  readonly limited: number
  /** In milliseconds; null before its first answer. */
  readonly latency: number | null
  readonly lastFailure: string | null
  /** Times it said something else than a quorum. */
  readonly differed: number
  /** What it differs in now, and how; null when it agrees with the others. */
  readonly difference: string | null
}

/** A chain that is several nodes. */
export type QuorumChain = Chain & {
  /** How many have to agree. */
  readonly quorum: number
  /** How each node does, in the order in which they were configured. */
  nodes(): readonly NodeStatus[]
  /** Resolves when every node has answered what it was asked: only then `nodes` knows of all differences. */
  allHeard(): Promise<void>
}

export type ComposeChainParameters = {
  readonly nodes: readonly ChainNode[]
  readonly quorum: number
  readonly chainId: number
  readonly privateRoute: PrivateRoute | null
  readonly logger: Logger
  readonly timer: Timer
  readonly patience?: number
  readonly grace?: number
}

/** Blocks whose numbers are remembered. */
const REMEMBERED = 512

/**
 * Several nodes as one chain.
 *
 * What money hangs on (heads, blocks, nonces, receipts, transactions, the genesis block) is what a quorum says, so that
 * fewer liars than that cannot pass a lie. The state of a pinned block, code, balances and simulations are what one
 * node says, which is checked elsewhere: a plan asserts on-chain what was simulated, and reconciliation compares what
 * was promised with what a quorum's receipts show. To simulate everything twice would double the dearest request
 * for no more than that.
 */
export function composeChain(parameters: ComposeChainParameters): QuorumChain {
  const { nodes, quorum, chainId, privateRoute, logger, timer, patience = 1_500, grace = 1_000 } = parameters
  const standing = createStanding(logger)
  const heads = createHeads({ nodes, quorum, standing, timer, grace })
  const numbers = new Map<Hash, bigint>()
  let genesis: Promise<Hash> | undefined

  const agree = <T>(question: Question<T>): Promise<T> => vote(nodes, quorum, question, standing)

  function remember(block: BlockRef): BlockRef {
    numbers.delete(block.hash)
    numbers.set(block.hash, block.number)
    const [oldest] = numbers.keys()
    if (numbers.size > REMEMBERED && oldest !== undefined) numbers.delete(oldest)
    return block
  }

  /** From one node that has the block, or from the next. */
  async function from<T>(
    method: string,
    at: Hash | null,
    ask: (chain: Chain) => Promise<T>,
    fit: (node: ChainNode) => boolean = () => true,
  ): Promise<T> {
    const number = at === null ? undefined : numbers.get(at)
    const lacks = (node: ChainNode) => {
      const { head } = standing.of(node)
      return number !== undefined && head !== null && head < number
    }
    return failOver(readingOrder(nodes.filter(fit), method, lacks), ask, { timer, patience })
  }

  return {
    chainId,
    quorum,

    nodes: () =>
      nodes.map((node) => ({
        host: node.host,
        state: node.state(),
        trouble: node.trouble(),
        simulates: node.simulates(),
        ...node.health.counts,
        ...standing.of(node),
      })),

    allHeard: () => standing.allHeard(),

    genesisHash() {
      genesis ??= agree(genesisQuestion)
      // A failure is not kept: the next call asks again.
      genesis.catch(() => {
        genesis = undefined
      })
      return genesis
    },

    async head() {
      // Behind the answer: a node that is to be proven again must not keep the others waiting.
      for (const node of nodes) void node.upkeep()
      return remember(await heads.head())
    },
    block: async (number) => remember(await agree(blockQuestion(number))),
    finalized: () => heads.finalized(),

    read: async (calls, at) =>
      calls.length === 0 ? [] : from('eth_call', at, (chain) => chain.read(calls, at)),
    code: (account, at) => from('eth_getCode', at, (chain) => chain.code(account, at)),
    balance: (account, at) => from('eth_getBalance', at, (chain) => chain.balance(account, at)),
    simulate: (request) =>
      from(
        'eth_simulateV1',
        request.on.hash,
        (chain) => chain.simulate(request),
        (node) => node.simulates(),
      ),
    revertReason: (hash) => from('debug_traceTransaction', null, (chain) => chain.revertReason(hash)),

    nonce: (account, at) => agree(nonceQuestion(account, at)),
    receipt: (hash) => agree(receiptQuestion(hash)),
    transaction: (hash) => agree(transactionQuestion(hash)),
    transactionAt: (account, nonce, at) => agree(transactionAtQuestion(account, nonce, at)),

    async sendRaw(raw, route = 'public') {
      if (route === 'public') return sendToAll(nodes, raw)
      if (privateRoute === null) throw new RouteMissingError(chainId)
      return privateRoute.send(raw, {
        head: () => heads.head(),
        transaction: (hash) => agree(transactionQuestion(hash)),
      })
    },
  }
}
