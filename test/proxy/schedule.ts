import { createHash } from 'node:crypto'
import type { Fault, ProxiedRequest } from './rpcProxy.ts'

/**
 * A fault that a schedule can hold: plain data, so that it can be kept in a file and sent to another process.
 *
 * | kind | the node has done it | the caller sees |
 * |---|---|---|
 * | `lose` | no | a connection that is reset |
 * | `drop` | yes | a connection that is reset |
 * | `stall` | yes | nothing, ever: a time-out |
 * | `delay` | yes | the answer, later |
 * | `reorder` | yes | the answer after that of a later request, or after 250 ms |
 * | `duplicate` | twice | the first answer |
 * | `null` | no | null: no receipt, no transaction, no block |
 * | `error` | no | that JSON-RPC error |
 * | `limit` | no | HTTP status 429, with `Retry-After` where it is given |
 * | `malformed` | yes | text that is no JSON |
 * | `truncate` | yes | half of the answer |
 */
export type ScheduledFault =
  | { readonly kind: 'lose' | 'drop' | 'stall' | 'reorder' | 'duplicate' | 'null' | 'malformed' | 'truncate' }
  | { readonly kind: 'delay'; readonly milliseconds: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'limit'; readonly retryAfterSeconds?: number }

export type ScheduleEntry = {
  /** One method, or `*` for all: then requests are counted for each method by itself. */
  readonly method: string
  /** The first request of the method that it may befall, counted from 1 since the schedule was set. Default 1. */
  readonly from?: number
  /** How many requests it may befall, in a row. Without end when absent. */
  readonly count?: number
  /** How likely it befalls each of them, from 0 to 1. Certain when absent. */
  readonly chance?: number
  readonly fault: ScheduledFault
}

/** A fault that befell a request. */
export type Hit = {
  readonly method: string
  /** The how-manieth request of its method it was, counted from 1. */
  readonly nth: number
  readonly kind: ScheduledFault['kind']
}

/** Decides by a schedule and a seed, and remembers what it decided. */
export type Decider = {
  decide(request: ProxiedRequest): Fault | null
  /** Begins another schedule: requests are counted anew. */
  set(schedule: readonly ScheduleEntry[]): void
  readonly hits: readonly Hit[]
}

/**
 * The first entry that applies to a request decides. Whether chance lets it depends on the seed, the entry and the
 * how-manieth request of its method it is, and on nothing else: requests of other methods that come in between, and
 * answers that take longer, change nothing.
 *
 * @example createDecider(7, [{ method: 'eth_getTransactionReceipt', chance: 0.2, fault: { kind: 'null' } }])
 */
export function createDecider(seed: number, schedule: readonly ScheduleEntry[]): Decider {
  let entries = schedule
  let counts = new Map<string, number>()
  const hits: Hit[] = []
  return {
    hits,
    set(next) {
      entries = next
      counts = new Map()
    },
    decide({ method }) {
      const nth = (counts.get(method) ?? 0) + 1
      counts.set(method, nth)
      const entry = entries.find((candidate, index) => applies(candidate, index, method, nth, seed))
      if (entry === undefined) return null
      hits.push({ method, nth, kind: entry.fault.kind })
      return faultOf(entry.fault)
    },
  }
}

function applies(entry: ScheduleEntry, index: number, method: string, nth: number, seed: number): boolean {
  if (entry.method !== '*' && entry.method !== method) return false
  const { from = 1, count = Number.POSITIVE_INFINITY, chance = 1 } = entry
  return (
    nth >= from && nth < from + count && (chance >= 1 || roll(`${seed}/${index}/${method}/${nth}`) < chance)
  )
}

/** A number from 0 to 1 that a text stands for. */
const roll = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32

/** How long an answer waits to be overtaken, in milliseconds. */
const OVERTAKEN_WITHIN = 250

function faultOf(fault: ScheduledFault): Fault {
  switch (fault.kind) {
    case 'lose':
      return { kind: 'refuse' }
    case 'reorder':
      return { kind: 'reorder', milliseconds: OVERTAKEN_WITHIN }
    case 'null':
      return { kind: 'result', result: null }
    case 'limit':
      return {
        kind: 'status',
        status: 429,
        body: '{"error":"too many requests"}',
        ...(fault.retryAfterSeconds === undefined
          ? {}
          : { headers: { 'retry-after': String(fault.retryAfterSeconds) } }),
      }
    case 'malformed':
      return { kind: 'garbage', text: '{"jsonrpc":"2.0","id":1,"result":' }
    case 'delay':
    case 'error':
      return fault
    default:
      return { kind: fault.kind }
  }
}
