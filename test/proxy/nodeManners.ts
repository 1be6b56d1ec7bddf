import {
  type Address,
  type Hex,
  hexToBigInt,
  hexToNumber,
  keccak256,
  numberToHex,
  parseTransaction,
  recoverTransactionAddress,
} from 'viem'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Forward, ProxiedRequest, RpcReply } from './rpcProxy.ts'

/** What real nodes do and anvil does not. Everything is off when absent; plain data. */
export type Manners = {
  /** How far the node is behind the chain, in blocks: it knows nothing of what is newer. */
  readonly staleBlocks?: number
  /** Refuses to replace a pending transaction unless both fees rise by so many per cent (geth: 10). */
  readonly replacementBump?: number
  /** Says "already known" to bytes that are pending. */
  readonly alreadyKnown?: boolean
  /** Takes a transaction whose fee cap is under the base fee, and keeps it until the base fee has fallen. */
  readonly queuesUnderpriced?: boolean
  /** Keeps so many pending transactions, and evicts the one that tips least when another one comes. */
  readonly poolSize?: number
  /** Takes one pending transaction from an account with delegated code, without a gap. */
  readonly onePerDelegated?: boolean
}

/** A transaction that was handed over and, as far as is known, not mined. */
type Pooled = {
  readonly raw: Hex
  readonly hash: Hex
  readonly from: Address
  readonly nonce: number
  readonly feeCap: bigint
  readonly tip: bigint
  /** Whether anvil has it; otherwise it waits here for a lower base fee. */
  readonly queued: boolean
}

export type NodeManners = {
  answer(request: ProxiedRequest, forward: Forward): Promise<RpcReply>
  set(manners: Manners): void
  /** Drops a pending transaction, as a full pool or a restart does. @returns whether it was pending. */
  evict(hash: Hex, forward: Forward): Promise<boolean>
  /**
   * Replaces the newest blocks. Their transactions are gone from chain and pool, as with anvil, unless `reinject`: then
   * they are pending again, as with real nodes.
   */
  reorganise(depth: number, reinject: boolean, forward: Forward): Promise<void>
}

/** geth's code for a transaction that it does not take. */
const REFUSED = -32000

/** @example startRpcProxy(url, { answer: createNodeManners({ replacementBump: 10 }).answer }) */
export function createNodeManners(initial: Manners = {}): NodeManners {
  let manners = initial
  let pool: readonly Pooled[] = []
  /** What was handed over and mined, so that a reorganisation can bring it back. */
  const everSent = new Map<Hex, Hex>()
  /** One at a time: what is pending decides what is taken next. */
  let turn: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => {})
    return result
  }

  /** Forgets what is mined or was dropped, and hands over what the base fee allows now. */
  async function settle(forward: Forward): Promise<void> {
    const left: Pooled[] = []
    const baseFee = pool.some(({ queued }) => queued) ? await baseFeeOf(forward) : 0n
    for (const pooled of pool) {
      if (pooled.queued) {
        const due = pooled.feeCap >= baseFee
        const taken = due && (await ask(forward, 'eth_sendRawTransaction', [pooled.raw])).error === undefined
        if (!due || taken) left.push({ ...pooled, queued: !taken })
        continue
      }
      const found = (await ask(forward, 'eth_getTransactionByHash', [pooled.hash])).result as Located
      if (found !== null && found.blockHash === null) left.push(pooled)
    }
    pool = left
  }

  async function send(raw: Hex, request: ProxiedRequest, forward: Forward): Promise<RpcReply> {
    const transaction = await read(raw)
    // Bytes that are none are anvil's to refuse.
    if (transaction === null) return forward(request)
    await settle(forward)
    const { hash, from, nonce } = transaction
    const rival = pool.find((pooled) => pooled.from === from && pooled.nonce === nonce)
    if (rival?.hash === hash && manners.alreadyKnown === true) return refusal('already known')
    if (rival !== undefined && rival.hash !== hash && manners.replacementBump !== undefined) {
      const enough = (fee: bigint, before: bigint) =>
        fee * 100n >= before * BigInt(100 + (manners.replacementBump ?? 0))
      if (!enough(transaction.feeCap, rival.feeCap) || !enough(transaction.tip, rival.tip))
        return refusal('replacement transaction underpriced')
    }
    if (manners.onePerDelegated === true && rival === undefined) {
      const complaint = await delegatedLimit(from, nonce, forward)
      if (complaint !== null) return refusal(complaint)
    }
    const baseFee = manners.queuesUnderpriced === true ? await baseFeeOf(forward) : 0n
    const queued = transaction.feeCap < baseFee
    const reply = queued ? { result: hash } : await forward(request)
    if (reply.error !== undefined) return reply
    if (rival?.queued === false && queued) await ask(forward, 'anvil_dropTransaction', [rival.hash])
    pool = [...pool.filter((pooled) => pooled !== rival), { ...transaction, queued }]
    everSent.set(hash, raw)
    await evictOver(forward)
    return reply
  }

  /** Why a delegated account may not have another transaction pending; null when it may. */
  async function delegatedLimit(from: Address, nonce: number, forward: Forward): Promise<string | null> {
    const code = (await ask(forward, 'eth_getCode', [from, 'latest'])).result as Hex
    if (!code.startsWith('0xef0100')) return null
    const next = hexToNumber((await ask(forward, 'eth_getTransactionCount', [from, 'latest'])).result as Hex)
    if (pool.some((pooled) => pooled.from === from))
      return 'in-flight transaction limit reached for delegated accounts'
    return nonce > next ? 'gapped-nonce tx from delegated accounts' : null
  }

  async function evictOver(forward: Forward): Promise<void> {
    while (manners.poolSize !== undefined && pool.length > manners.poolSize) {
      const cheapest = pool.toSorted((a, b) => (a.tip < b.tip ? -1 : a.tip > b.tip ? 1 : 0))[0]
      if (cheapest === undefined) return
      await drop(cheapest, forward)
    }
  }

  async function drop(pooled: Pooled, forward: Forward): Promise<void> {
    pool = pool.filter((other) => other !== pooled)
    if (!pooled.queued) await ask(forward, 'anvil_dropTransaction', [pooled.hash])
  }

  /** What waits here is pending, as far as anybody can see. */
  async function find(request: ProxiedRequest, forward: Forward): Promise<RpcReply> {
    await settle(forward)
    const waiting = pool.find(({ hash, queued }) => queued && hash === request.params[0])
    if (waiting === undefined) return forward(request)
    const { hash, from, nonce } = waiting
    return { result: { hash, from, nonce: numberToHex(nonce), blockNumber: null, blockHash: null } }
  }

  return {
    set(next) {
      manners = next
    },
    answer(request, forward) {
      const seen: Forward =
        (manners.staleBlocks ?? 0) > 0
          ? (asked) => askStale(asked, forward, manners.staleBlocks ?? 0)
          : forward
      const [first] = request.params
      if (request.method === 'eth_sendRawTransaction' && typeof first === 'string')
        return inTurn(() => send(first as Hex, request, forward))
      if (request.method === 'eth_getTransactionByHash') return inTurn(() => find(request, seen))
      return seen(request)
    },
    evict: (hash, forward) =>
      inTurn(async () => {
        await settle(forward)
        const pooled = pool.find((candidate) => candidate.hash === hash)
        if (pooled !== undefined) await drop(pooled, forward)
        return pooled !== undefined
      }),
    reorganise: (depth, reinject, forward) =>
      inTurn(async () => {
        const lost: Hex[] = []
        const head = hexToBigInt((await ask(forward, 'eth_blockNumber', [])).result as Hex)
        for (let number = head; number > head - BigInt(depth); number--) {
          const block = (await ask(forward, 'eth_getBlockByNumber', [numberToHex(number), false])).result
          lost.unshift(...(block as { transactions: Hex[] }).transactions)
        }
        // An equal block in an equal place would have the same hash: another miner makes it another one.
        const miner = `0x${keccak256(numberToHex(head + BigInt(everSent.size))).slice(2, 42)}`
        await ask(forward, 'anvil_setCoinbase', [miner])
        const { error } = await ask(forward, 'anvil_reorg', [depth, []])
        if (error !== undefined) throw new InvariantError(`anvil did not reorganise: ${error.message}`)
        if (!reinject) return
        for (const hash of lost) {
          const raw = everSent.get(hash)
          if (raw !== undefined) await ask(forward, 'eth_sendRawTransaction', [raw])
        }
      }),
  }
}

const ask = (forward: Forward, method: string, params: readonly unknown[]): Promise<RpcReply> =>
  forward({ method, params })

const refusal = (message: string): RpcReply => ({ error: { code: REFUSED, message } })

type Located = { readonly blockHash: Hex | null; readonly blockNumber: Hex | null } | null

async function baseFeeOf(forward: Forward): Promise<bigint> {
  const block = (await ask(forward, 'eth_getBlockByNumber', ['pending', false])).result
  return hexToBigInt((block as { baseFeePerGas: Hex }).baseFeePerGas)
}

/** @returns null for what is no transaction. */
async function read(raw: Hex): Promise<Omit<Pooled, 'queued'> | null> {
  try {
    const transaction = parseTransaction(raw)
    const from = await recoverTransactionAddress({ serializedTransaction: raw as never })
    return {
      raw,
      hash: keccak256(raw),
      from,
      nonce: transaction.nonce ?? 0,
      feeCap: transaction.maxFeePerGas ?? transaction.gasPrice ?? 0n,
      tip: transaction.maxPriorityFeePerGas ?? transaction.gasPrice ?? 0n,
    }
  } catch {
    return null
  }
}

/** Block tags that name the newest block. */
const NEWEST: ReadonlySet<unknown> = new Set(['latest', 'pending', undefined])
/** Which parameter names the block. */
const BLOCK_PARAMETER: Readonly<Record<string, number>> = {
  eth_getBlockByNumber: 0,
  eth_getTransactionCount: 1,
  eth_getBalance: 1,
  eth_getCode: 1,
  eth_call: 1,
  eth_simulateV1: 1,
}

/** What a node says that has not seen the newest blocks yet. */
async function askStale(request: ProxiedRequest, forward: Forward, blocks: number): Promise<RpcReply> {
  const { method, params } = request
  const newest = hexToBigInt((await ask(forward, 'eth_blockNumber', [])).result as Hex)
  const head = newest > BigInt(blocks) ? newest - BigInt(blocks) : 0n
  const isKnown = (number: Hex | null) => number !== null && hexToBigInt(number) <= head
  const numberOf = async (hash: unknown): Promise<Hex | null> => {
    const block = (await ask(forward, 'eth_getBlockByHash', [hash, false])).result
    return (block as { number: Hex } | null)?.number ?? null
  }
  if (method === 'eth_blockNumber') return { result: numberToHex(head) }
  if (method === 'eth_getTransactionReceipt') {
    const reply = await forward(request)
    return isKnown((reply.result as Located)?.blockNumber ?? null) ? reply : { result: null }
  }
  if (method === 'eth_getTransactionByHash') {
    const { result, error } = await forward(request)
    const found = result as Located
    if (error !== undefined || found === null || found.blockNumber === null || isKnown(found.blockNumber))
      return error === undefined ? { result } : { error }
    return { result: { ...found, blockNumber: null, blockHash: null } }
  }
  if (method === 'eth_getBlockByHash')
    return isKnown(await numberOf(params[0])) ? forward(request) : { result: null }
  const index = BLOCK_PARAMETER[method]
  if (index === undefined) return forward(request)
  const at = params[index]
  if (NEWEST.has(at)) return forward({ method, params: params.with(index, numberToHex(head)) })
  if (typeof at === 'string' && at.startsWith('0x'))
    return isKnown(at as Hex)
      ? forward(request)
      : method === 'eth_getBlockByNumber'
        ? { result: null }
        : refusal('header not found')
  const byHash = (at as { blockHash?: unknown } | null)?.blockHash
  if (byHash === undefined || isKnown(await numberOf(byHash))) return forward(request)
  return refusal('header not found')
}
