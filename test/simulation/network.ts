import type { Hex } from 'viem'
import { WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import type { Block } from '../twins/chain/execution.ts'
import { nonceIn, priceIn } from '../twins/chain/marketState.ts'
import { cheapKeyHolder, cheapRecovery, type PooledTransaction } from '../twins/chain/transactions.ts'
import { type MemoryChain, type MemoryNode, memoryChain } from '../twins/memoryChain.ts'
import type { FaultPlan } from './faults.ts'
import type { Random } from './random.ts'
import { ACCOUNT, BASE_FEE, begin, book, setPrice } from './scene.ts'

export const BLOCK_SECONDS = 12

/** The chain of a seed, and what the world does to it from block to block. */
export type Network = {
  readonly chain: MemoryChain
  /** Whether it knows `finalized`. */
  readonly hasFinality: boolean
  /** One block time passes: usually one more block, sometimes another past. */
  tick(): Promise<string>
  /** Takes bytes out of every pool. */
  forget(hash: Hex): void
}

/** How deep a reorganisation goes at most. */
const DEEPEST = 8
/** Behind the head: deeper than any reorganisation. */
const FINALITY = 10

type Depth = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8

const MAX_BASE_FEE = 20n * BASE_FEE

export function createNetwork(random: Random, faults: FaultPlan, seed: string): Network {
  const shape = random.fork('chain')
  const draw = random.fork('blocks')
  const hasFinality = shape.chance(0.5)
  const isDelegated = shape.chance(0.5)
  const chain = memoryChain({
    chainId: book.chainId,
    book,
    seed,
    begin: (state) => begin(state, isDelegated),
    nodes: shape.pick([1, 3]),
    rules: { holdsUnderpriced: shape.chance(0.5), limitsDelegated: shape.chance(0.5) },
    recovery: cheapRecovery,
    finality: hasFinality ? FINALITY : null,
    timestamp: 1_700_000_000n,
    baseFeePerGas: BASE_FEE,
  })
  const patience = shape.pick([0.4, 0.7, 0.9])
  /** Everything of the account that any node was ever given. */
  const seen = new Map<string, PooledTransaction>()
  let fee = BASE_FEE
  let strangers = 0

  function nextFee(): bigint {
    if (faults.strikes('base fee times ten')) fee *= 10n
    // Towards where it was, with a walk of an eighth each way: EIP-1559's bound.
    else fee = (fee * BigInt(draw.between(875, fee > 2n * BASE_FEE ? 1_000 : 1_125))) / 1_000n
    if (faults.isOver && fee > BASE_FEE) fee = (fee * 3n) / 4n
    fee = fee > MAX_BASE_FEE ? MAX_BASE_FEE : fee < BASE_FEE / 4n ? BASE_FEE / 4n : fee
    return fee
  }

  const look = () => {
    for (const pool of [chain.hidden, ...chain.nodes.map((node) => node.pool)])
      for (const one of pool.all()) if (one.from === ACCOUNT) seen.set(one.hash, one)
  }

  /** Somebody else with the same key sends something. */
  async function stranger(nonce: bigint): Promise<PooledTransaction> {
    strangers += 1
    const raw = await cheapKeyHolder(ACCOUNT).signTransaction({
      chainId: book.chainId,
      type: 'eip1559',
      nonce: Number(nonce),
      to: ACCOUNT,
      value: BigInt(strangers),
      gas: 60_000n,
      maxFeePerGas: (50n * MAX_BASE_FEE) / 20n,
      maxPriorityFeePerGas: 3n * 10n ** 9n,
    })
    return chain.read(raw)
  }

  /** Applies an authorisation of ours that is out and fits: it uses a nonce, and no transaction of the account does. */
  async function authorisation(): Promise<readonly PooledTransaction[]> {
    const next = nonceIn(chain.head().state, ACCOUNT)
    const known = [...seen.values()].flatMap(({ authorizations }) => authorizations)
    const fitting = known.find(({ nonce, authority }) => nonce === next && authority === ACCOUNT)
    if (fitting === undefined || !faults.strikes('authorisation by a stranger')) return []
    strangers += 1
    const other = `0x${(0xbb00 + strangers).toString(16).padStart(40, '0')}` as const
    return [
      {
        raw: '0x',
        hash: `0x${strangers.toString(16).padStart(64, 'c')}`,
        from: other,
        to: other,
        nonce: 0n,
        value: 0n,
        data: '0x',
        gas: 0n,
        maxFeePerGas: 10n ** 15n,
        maxPriorityFeePerGas: 0n,
        authorizations: [fitting],
      },
    ]
  }

  async function outside(): Promise<readonly PooledTransaction[]> {
    if (!faults.strikes('outside transaction')) return []
    return [await stranger(nonceIn(chain.head().state, ACCOUNT))]
  }

  /** Which nodes hear of a new head now; the others follow later. */
  function reach(): (node: MemoryNode) => boolean {
    if (!faults.strikes('node lags')) return () => true
    const late = draw.pick(chain.nodes)
    return (node) => node !== late
  }

  function spoils(): (transaction: PooledTransaction) => boolean {
    return () => faults.strikes('reverts for reasons of its own')
  }

  async function reorganise(): Promise<string> {
    const possible = Math.min(DEEPEST, Number(chain.head().number) - 1)
    if (possible < 1) return mine()
    const depth = draw.between(1, possible)
    faults.count(`reorg of depth ${depth as Depth}`)
    const swaps = faults.strikes('reorg: another transaction on the nonce')
    const flips = faults.strikes('reorg: from failed to succeeded or back')
    const returns = draw.chance(0.6)
    const rivals = swaps ? await rivalsOf(depth) : new Map<bigint, PooledTransaction>()
    const keeps = draw.pick([0, 0.5, 1])
    const dropped = chain.reorg({
      depth,
      reaches: reach(),
      returns: () => returns,
      spoils: () => flips && draw.chance(0.5),
      change: () => undefined,
      fill: (loose, n) =>
        loose
          .map((one) => rivals.get(one.nonce) ?? one)
          .filter(() => n > 0 || draw.chance(keeps))
          .filter(() => draw.chance(keeps)),
    })
    return `reorg of ${dropped.length}${swaps ? ', others on the nonces' : ''}`
  }

  /** For nonces that were mined lately: another attempt of ours, or a stranger's. */
  async function rivalsOf(depth: number): Promise<Map<bigint, PooledTransaction>> {
    const rivals = new Map<bigint, PooledTransaction>()
    const from = chain.head().number - BigInt(depth)
    for (const { transaction, block } of chain.minedOf(ACCOUNT)) {
      if (block.number <= from) continue
      const own = [...seen.values()].filter(
        (one) => one.nonce === transaction.nonce && one.hash !== transaction.hash,
      )
      if (own.length > 0 && draw.chance(0.6)) rivals.set(transaction.nonce, draw.pick(own))
      else if (draw.chance(0.5)) rivals.set(transaction.nonce, await stranger(transaction.nonce))
    }
    return rivals
  }

  async function mine(): Promise<string> {
    const price = movedPrice(chain.head())
    const block = chain.mine({
      baseFeePerGas: nextFee(),
      includes: () => faults.isOver || draw.chance(patience),
      first: [...(await outside()), ...(await authorisation())],
      reaches: reach(),
      spoils: spoils(),
      change: (state) => {
        if (price !== null) setPrice(state, WETH, price, chain.head().timestamp + BigInt(BLOCK_SECONDS))
      },
    })
    return `block with ${block.transactions.length} transactions`
  }

  function movedPrice({ state }: Block): bigint | null {
    const price = priceIn(state, WETH)
    if (faults.strikes('price falls')) return (price * BigInt(draw.between(88, 98))) / 100n
    if (faults.strikes('price rises')) return (price * BigInt(draw.between(102, 110))) / 100n
    return null
  }

  return {
    chain,
    hasFinality,
    forget(hash) {
      for (const pool of [chain.hidden, ...chain.nodes.map((node) => node.pool)]) pool.remove(hash)
    },
    async tick() {
      look()
      for (const node of chain.nodes) {
        node.isUp = !faults.strikes('node down')
        if (draw.chance(0.7) || faults.isOver) node.follow(chain.head())
      }
      if (faults.strikes('evicted from the pools')) for (const { pool } of chain.nodes) pool.clear()
      const what = faults.strikes('reorg') ? await reorganise() : await mine()
      look()
      const { number, hash } = chain.head()
      return `${what}: head ${number} ${hash.slice(0, 10)}`
    },
  }
}
