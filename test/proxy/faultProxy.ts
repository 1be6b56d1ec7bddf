import type { Hex } from 'viem'
import { createNodeManners, type Manners } from './nodeManners.ts'
import { askUpstream, type Forward, startRpcProxy } from './rpcProxy.ts'
import { createDecider, type Hit, type ScheduleEntry } from './schedule.ts'

export type FaultProxyOptions = {
  /** The node's HTTP URL. */
  readonly upstream: string
  /** Decides where chance does. */
  readonly seed: number
  readonly schedule?: readonly ScheduleEntry[]
  readonly manners?: Manners
}

/** What befell requests so far. */
export type FaultRecord = {
  /** In order of arrival. */
  readonly hits: readonly Hit[]
  /** How often each kind of fault befell a request. */
  readonly counts: Readonly<Record<string, number>>
  readonly requests: number
}

/** A fault proxy, in this process or in one of its own. */
export type FaultProxy = {
  readonly url: string
  /** Begins another schedule: from now on requests are counted anew. */
  schedule(entries: readonly ScheduleEntry[]): Promise<void>
  /** Takes on other manners. What is pending stays pending. */
  behave(manners: Manners): Promise<void>
  /** Drops a pending transaction. @returns whether it was pending. */
  evict(hash: Hex): Promise<boolean>
  /** Replaces the newest blocks; with `reinject`, their transactions are pending again, as with real nodes. */
  reorganise(depth: number, options?: { readonly reinject?: boolean }): Promise<void>
  record(): Promise<FaultRecord>
  close(): Promise<void>
}

/**
 * A JSON-RPC proxy in front of anvil that fails by a schedule, and has manners of real nodes that anvil lacks. The same
 * seed, schedule and requests give the same faults.
 *
 * @example
 * const proxy = await startFaultProxy({
 *   upstream: world.url,
 *   seed: 7,
 *   schedule: [
 *     { method: 'eth_sendRawTransaction', from: 2, count: 1, fault: { kind: 'stall' } },
 *     { method: 'eth_getTransactionReceipt', chance: 0.2, fault: { kind: 'null' } },
 *   ],
 *   manners: { replacementBump: 10, alreadyKnown: true, onePerDelegated: true },
 * })
 * const chain = await createChain({ rpcUrl: proxy.url, chainId, multicall3 })
 * (await proxy.record()).counts // { stall: 1, null: 3 }
 */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const decider = createDecider(options.seed, options.schedule ?? [])
  const manners = createNodeManners(options.manners)
  const upstream: Forward = (request) => askUpstream(options.upstream, request)
  const proxy = await startRpcProxy(options.upstream, {
    decide: decider.decide,
    answer: manners.answer,
  })
  return {
    url: proxy.url,
    schedule: async (entries) => decider.set(entries),
    behave: async (next) => manners.set(next),
    evict: (hash) => manners.evict(hash, upstream),
    reorganise: (depth, { reinject = false } = {}) => manners.reorganise(depth, reinject, upstream),
    record: async () => ({
      hits: [...decider.hits],
      counts: count(decider.hits),
      requests: proxy.requests.length,
    }),
    close: () => proxy.close(),
  }
}

function count(hits: readonly Hit[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { kind } of hits) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
