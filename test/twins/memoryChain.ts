import type { Address, Hex } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import {
  BlockGoneError,
  RouteMissingError,
  RpcUnreachableError,
  TransactionRefusedError,
} from '../../runtime/core/chainErrors.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import {
  ancestorOf,
  type Block,
  gasOfCall,
  type MinedTransaction,
  makeBlock,
  sha,
} from './chain/execution.ts'
import { runCall } from './chain/marketCalls.ts'
import { readMarket } from './chain/marketReads.ts'
import { codeIn, copyMarket, emptyMarket, type MarketState, nativeIn, nonceIn } from './chain/marketState.ts'
import { createPool, type Pool, type PoolRules } from './chain/pool.ts'
import {
  curveRecovery,
  type PooledTransaction,
  type Recovery,
  readTransaction,
} from './chain/transactions.ts'

/** One node: its view of the chain and its own pool. */
export type MemoryNode = {
  readonly host: string
  readonly pool: Pool
  /** The newest block that it has; behind, or on another fork than the network's, while it lags. */
  readonly head: Block
  readonly port: Chain
  /** Off: every request fails. */
  isUp: boolean
  /** Has it take up a block as its head; what cannot be mined on it any more leaves the pool. */
  follow(block: Block): void
}

export type MineOptions = {
  /** After the parent's. Default 12 seconds. */
  readonly timestamp?: bigint
  readonly baseFeePerGas?: bigint
  /** Which pooled transactions are taken. Default: all that can be. */
  readonly includes?: (transaction: PooledTransaction) => boolean
  /** Put in before all others, whoever knows them: what somebody else sends. */
  readonly first?: readonly PooledTransaction[]
  readonly spoils?: (transaction: PooledTransaction) => boolean
  readonly change?: (state: MarketState) => void
  /** Which nodes have the new head at once. Default: all. */
  readonly reaches?: (node: MemoryNode) => boolean
}

export type ReorgOptions = Pick<MineOptions, 'spoils' | 'change' | 'reaches'> & {
  /** How many blocks leave the chain. */
  readonly depth: number
  /** How many take their place. Default: as many, and one more, as a longer chain wins. */
  readonly length?: number
  /** What the n-th new block has, of what the old ones had; in this order. Default: none of it. */
  readonly fill?: (dropped: readonly PooledTransaction[], n: number) => readonly PooledTransaction[]
  /** Which of the dropped ones that are in no new block go back to the pools. Default: none, as on anvil. */
  readonly returns?: (transaction: PooledTransaction) => boolean
}

export type MemoryChain = {
  readonly chainId: number
  readonly nodes: readonly MemoryNode[]
  /** What a private route holds: no node has it before it is mined. */
  readonly hidden: Pool
  /** The network's head. */
  head(): Block
  genesis(): Block
  mine(options?: MineOptions): Block
  /** @returns the blocks that left the chain, oldest first. */
  reorg(options: ReorgOptions): readonly Block[]
  /** Reads bytes and remembers them; they go to no pool. */
  read(raw: Hex): Promise<PooledTransaction>
  /** Where a transaction is on the network's chain; null while it is in no block. */
  find(hash: Hash): (MinedTransaction & { readonly block: Block }) | null
  /** Every transaction of an account on the network's chain, oldest first. */
  minedOf(account: Address): readonly (MinedTransaction & { readonly block: Block })[]
}

export type MemoryChainOptions = {
  readonly chainId: number
  readonly book: AddressBook
  /** Block hashes follow from it. */
  readonly seed: string
  /** Fills the world before its first block. */
  readonly begin: (state: MarketState) => void
  /** Default 1. */
  readonly nodes?: number
  readonly rules?: PoolRules
  readonly recovery?: Recovery
  /** How many blocks behind the head `finalized` is; null where the chain has no such notion. */
  readonly finality?: number | null
  /** Whether there is a private route: what goes there is in no node's pool before it is mined. */
  readonly privateRoute?: boolean
  readonly timestamp?: bigint
  readonly baseFeePerGas?: bigint
}

const BLOCK_SECONDS = 12n

/**
 * The in-memory twin of a network of nodes: the rules of blocks, pools, forks and EIP-7702, and a small model of the
 * contracts that Rialto reads and calls. It has no EVM. Everything follows from what it is told, and nothing from the
 * time of day.
 *
 * @example
 * const chain = memoryChain({ chainId: 31_337, book, seed: '1', begin: (state) => … })
 * await chain.nodes[0]?.port.sendRaw(raw)
 * chain.mine()
 */
export function memoryChain(options: MemoryChainOptions): MemoryChain {
  const { chainId, book, seed, finality = null, recovery = curveRecovery } = options
  const rules = options.rules ?? { holdsUnderpriced: false, limitsDelegated: false }
  const genesis = firstBlock(options)
  /** By their bytes: the same ones are sent to many nodes, again and again. */
  const known = new Map<Hex, PooledTransaction>()
  /** Blocks that a transaction was ever put in, on any fork. */
  const blocksOf = new Map<Hash, Block[]>()
  const hidden = createPool(rules)
  let head = genesis
  let made = 0

  const isCanonicalFor = (top: Block, block: Block) => ancestorOf(top, block.number) === block
  const minedUnder = (top: Block, hash: Hash): (MinedTransaction & { block: Block }) | null => {
    for (const block of blocksOf.get(hash) ?? []) {
      if (!isCanonicalFor(top, block)) continue
      const mined = block.transactions.find(({ transaction }) => transaction.hash === hash)
      if (mined !== undefined) return { ...mined, block }
    }
    return null
  }

  async function read(raw: Hex): Promise<PooledTransaction> {
    const transaction = known.get(raw) ?? (await readTransaction(raw, recovery))
    known.set(raw, transaction)
    return transaction
  }

  function index(block: Block): Block {
    for (const { transaction } of block.transactions)
      blocksOf.set(transaction.hash, [...(blocksOf.get(transaction.hash) ?? []), block])
    return block
  }

  const nextFee = (parent: Block): bigint => parent.baseFeePerGas

  /** Of each sender in the order of its nonces, the best-paying one first on each. */
  function candidates(): readonly PooledTransaction[] {
    const all = new Map<Hash, PooledTransaction>()
    for (const pool of [hidden, ...nodes.map((node) => node.pool)])
      for (const one of pool.all()) all.set(one.hash, one)
    return [...all.values()].sort(
      (a, b) =>
        Number(a.nonce - b.nonce) ||
        Number(b.maxPriorityFeePerGas - a.maxPriorityFeePerGas) ||
        (a.hash < b.hash ? -1 : 1),
    )
  }

  function spread(reaches: (node: MemoryNode) => boolean): void {
    for (const node of nodes) if (reaches(node)) node.follow(head)
    hidden.prune(head.state)
  }

  const nodes: readonly MemoryNode[] = Array.from({ length: options.nodes ?? 1 }, (_, n) => memoryNode(n))

  function memoryNode(n: number): MemoryNode {
    const host = `node-${n}.twin:8545`
    const pool = createPool(rules)
    let top = genesis
    const node: MemoryNode = {
      host,
      pool,
      isUp: true,
      get head() {
        return top
      },
      port: portOf(host, pool, () => node),
      follow(block) {
        top = block
        pool.prune(block.state)
      },
    }
    return node
  }

  function portOf(host: string, pool: Pool, self: () => MemoryNode): Chain {
    const asked = (method: string): Block => {
      const node = self()
      if (!node.isUp) throw new RpcUnreachableError(method, host, 'the connection was refused')
      return node.head
    }
    /** The block of a hash on the node's own chain. */
    const at = (method: string, hash: Hash): Block => {
      for (let block: Block | null = asked(method); block !== null; block = block.parent)
        if (block.hash === hash) return block
      throw new BlockGoneError(hash, host)
    }
    return {
      chainId,
      genesisHash: async () => genesis.hash,
      head: async () => blockRef(asked('eth_getBlockByNumber')),
      async block(number) {
        const found = ancestorOf(asked('eth_getBlockByNumber'), number)
        if (found === null) throw new BlockGoneError(number, host)
        return blockRef(found)
      },
      async read(calls, hash) {
        const { state } = at('eth_call', hash)
        return calls.map((call) => readMarket(state, book, call))
      },
      code: async (account, hash) => {
        const { state } = at('eth_getCode', hash)
        return isContract(book, account) ? PLACEHOLDER_CODE : codeIn(state, account)
      },
      balance: async (account, hash) => wei(nativeIn(at('eth_getBalance', hash).state, account)),
      nonce: async (account, hash) => nonceIn(at('eth_getTransactionCount', hash).state, account),
      async simulate({ on, code, calls }) {
        const block = at('eth_simulateV1', on.hash)
        const state = copyMarket(block.state)
        for (const entry of code) state.code.set(entry.address.toLowerCase(), entry.code)
        return calls.map(({ from, to, data, value }) => {
          const outcome = runCall({ state, book, block: block.number + 1n, from, to }, data, value)
          return {
            status: outcome.ok ? 'success' : 'reverted',
            returnData: outcome.returnData,
            gasUsed: gasOfCall(from, to, data),
            logs: outcome.ok ? outcome.logs : [],
          }
        })
      },
      async sendRaw(raw, route = 'public') {
        const top = asked('eth_sendRawTransaction')
        if (route === 'private' && options.privateRoute !== true) throw new RouteMissingError(chainId)
        const transaction = await read(raw).catch(() => null)
        if (transaction === null)
          throw new TransactionRefusedError('MALFORMED', sha(raw), host, 'it cannot be read')
        const { hash } = transaction
        if (minedUnder(top, hash) !== null) return hash
        const into = route === 'private' ? hidden : pool
        const why = into.add(transaction, top.state, nextFee(top))
        if (why !== null) throw new TransactionRefusedError(why, hash, host, why.toLowerCase())
        return hash
      },
      receipt: async (hash) => minedUnder(asked('eth_getTransactionReceipt'), hash)?.receipt ?? null,
      async transaction(hash) {
        const mined = minedUnder(asked('eth_getTransactionByHash'), hash)
        if (mined !== null) return { block: mined.receipt.block }
        return pool.has(hash) ? { block: null } : null
      },
      async transactionAt(account, nonce, to) {
        for (
          let block: Block | null = at('eth_getBlockByHash', to.hash);
          block !== null;
          block = block.parent
        )
          for (const { transaction, receipt } of block.transactions)
            if (transaction.nonce === nonce && same(transaction.from, account))
              return { hash: transaction.hash, block: receipt.block }
        return null
      },
      async finalized() {
        const top = asked('eth_getBlockByNumber')
        if (finality === null) return null
        const number = top.number > BigInt(finality) ? top.number - BigInt(finality) : 0n
        const found = ancestorOf(top, number)
        return found === null ? null : blockRef(found)
      },
      async revertReason(hash) {
        const mined = minedUnder(asked('debug_traceTransaction'), hash)
        return mined?.revertData ?? 'the node cannot tell'
      },
    }
  }

  return {
    chainId,
    nodes,
    hidden,
    read,
    head: () => head,
    genesis: () => genesis,
    find: (hash) => minedUnder(head, hash),
    minedOf(account) {
      const found: (MinedTransaction & { block: Block })[] = []
      for (let block: Block | null = head; block !== null; block = block.parent)
        for (const mined of [...block.transactions].reverse())
          if (same(mined.transaction.from, account)) found.push({ ...mined, block })
      return found.reverse()
    },
    mine({
      timestamp,
      baseFeePerGas,
      includes = () => true,
      first = [],
      reaches = () => true,
      ...rest
    } = {}) {
      head = index(
        makeBlock({
          book,
          chainId,
          parent: head,
          timestamp: timestamp ?? head.timestamp + BLOCK_SECONDS,
          baseFeePerGas: baseFeePerGas ?? nextFee(head),
          salt: `${seed}/${++made}`,
          transactions: [...first, ...candidates().filter(includes)],
          ...rest,
        }),
      )
      spread(reaches)
      return head
    },
    reorg({
      depth,
      length = depth + 1,
      fill = () => [],
      returns = () => false,
      reaches = () => true,
      ...rest
    }) {
      const base = ancestorOf(head, head.number - BigInt(depth))
      if (base === null) throw new InvariantError('The chain is not that long.', { depth })
      const dropped: Block[] = []
      for (let block = head; block !== base && block.parent !== null; block = block.parent)
        dropped.unshift(block)
      const loose = dropped.flatMap(({ transactions }) => transactions.map(({ transaction }) => transaction))
      let tip = base
      for (let n = 0; n < length; n++) {
        const like = dropped[n]
        tip = index(
          makeBlock({
            book,
            chainId,
            parent: tip,
            timestamp: like?.timestamp ?? tip.timestamp + BLOCK_SECONDS,
            baseFeePerGas: like?.baseFeePerGas ?? nextFee(tip),
            salt: `${seed}/${++made}`,
            transactions: fill(loose, n),
            ...rest,
          }),
        )
      }
      head = tip
      spread(reaches)
      for (const transaction of loose)
        if (minedUnder(head, transaction.hash) === null && returns(transaction))
          for (const { pool } of nodes) pool.add(transaction, head.state, nextFee(head))
      return dropped
    },
  }
}

function firstBlock({ seed, begin, timestamp, baseFeePerGas }: MemoryChainOptions): Block {
  const state = emptyMarket()
  begin(state)
  return {
    number: 0n,
    hash: sha('genesis', seed),
    parentHash: `0x${'00'.repeat(32)}`,
    parent: null,
    timestamp: timestamp ?? 1_700_000_000n,
    baseFeePerGas: baseFeePerGas ?? 20n * 10n ** 9n,
    transactions: [],
    state,
  }
}

const blockRef = ({ number, hash, parentHash, timestamp, baseFeePerGas }: Block): BlockRef => ({
  number,
  hash,
  parentHash,
  timestamp,
  baseFeePerGas: wei(baseFeePerGas),
})

/** Something where a contract is: its behaviour is in the model. */
const PLACEHOLDER_CODE: Hex = `0x${'fe'.repeat(128)}`

const isContract = (book: AddressBook, account: Address): boolean =>
  [book.multicall3, book.aaveV3.pool, ...book.tokens.map(({ address }) => address)].some((one) =>
    same(one, account),
  )

const same = (a: Address, b: Address): boolean => a.toLowerCase() === b.toLowerCase()
