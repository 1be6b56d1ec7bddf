import type { Manners } from '../proxy/nodeManners.ts'
import type { ScheduledFault, ScheduleEntry } from '../proxy/schedule.ts'
import { type Random, random as randomOf } from '../simulation/random.ts'
import type { PolicyDraw } from './scenario.ts'

/** What can go wrong with requests to the node, by the names that the simulation has for it where it has one. */
export const requestFaults = [
  'rpc unreachable',
  'answer lost',
  'answer slow',
  'answer malformed',
  'answer cut off',
  'answers out of order',
  'rate limited',
  'receipt null',
  'transaction null',
  'send: accepted, then timed out',
  'send: lost, then timed out',
  'send: accepted, then refused',
  'send: refused for now',
  'send: strange refusal',
  'send: twice',
] as const
export type RequestFault = (typeof requestFaults)[number]

/** What can happen besides, at a block. */
export const blockFaults = [
  'reorg',
  'reorg: forgotten by the pools',
  'base fee times ten',
  'node lags',
  'outside transaction',
  'evicted from the pools',
  'price falls',
  'signer restarted',
  'redis wiped',
  'engine restarted',
] as const
export type BlockFault = (typeof blockFaults)[number]

/** How likely each is per block, before the schedule's own choice. */
const BLOCK_RATES: Readonly<Record<BlockFault, number>> = {
  reorg: 0.12,
  'reorg: forgotten by the pools': 0.06,
  'base fee times ten': 0.12,
  'node lags': 0.1,
  'outside transaction': 0.08,
  'evicted from the pools': 0.15,
  'price falls': 0.05,
  'signer restarted': 0.03,
  'redis wiped': 0.03,
  'engine restarted': 0.06,
}

const entry = (method: string, chance: number, fault: ScheduledFault, count?: number): ScheduleEntry => ({
  method,
  chance,
  fault,
  ...(count === undefined ? {} : { count }),
})

const SEND = 'eth_sendRawTransaction'

/** How the proxy does each of them. */
const ENTRIES: Readonly<Record<RequestFault, readonly ScheduleEntry[]>> = {
  'rpc unreachable': [entry('*', 0.03, { kind: 'lose' })],
  'answer lost': [entry('*', 0.02, { kind: 'drop' })],
  'answer slow': [entry('*', 0.02, { kind: 'delay', milliseconds: 30 })],
  'answer malformed': [entry('*', 0.01, { kind: 'malformed' })],
  'answer cut off': [entry('*', 0.01, { kind: 'truncate' })],
  'answers out of order': [entry('eth_call', 0.05, { kind: 'reorder' })],
  'rate limited': [entry('*', 0.01, { kind: 'limit' })],
  'receipt null': [entry('eth_getTransactionReceipt', 0.3, { kind: 'null' })],
  'transaction null': [entry('eth_getTransactionByHash', 0.3, { kind: 'null' })],
  'send: accepted, then timed out': [
    entry(SEND, 0.5, { kind: 'stall' }, 2),
    entry(SEND, 0.3, { kind: 'drop' }),
  ],
  'send: lost, then timed out': [entry(SEND, 0.4, { kind: 'lose' })],
  // Garbage in place of the answer says as little as a wrong one.
  'send: accepted, then refused': [entry(SEND, 0.3, { kind: 'malformed' })],
  'send: refused for now': [entry(SEND, 0.3, { kind: 'error', code: -32005, message: 'limit exceeded' })],
  'send: strange refusal': [entry(SEND, 0.3, { kind: 'error', code: -39999, message: 'computer says no' })],
  'send: twice': [entry(SEND, 0.5, { kind: 'duplicate' })],
}

/** All that a seed decides beforehand. */
export type Schedule = {
  readonly seed: number
  readonly policy: PolicyDraw
  readonly manners: Manners
  readonly requests: readonly RequestFault[]
  readonly entries: readonly ScheduleEntry[]
  /** What happens at each block of the storm. */
  readonly blocks: readonly (readonly BlockFault[])[]
  /** For what is drawn on the way: depths and the like. */
  readonly random: Random
}

/** Blocks under fire. */
export const STORM = 11

/**
 * Draws a schedule. As in the simulation, each has about half of the faults and some of these more often, so that two
 * rare ones are met together.
 */
export function drawSchedule(seed: number): Schedule {
  const random = randomOf(`faults/${seed}`)
  const shape = random.fork('shape')
  const requests = requestFaults.filter(() => shape.chance(0.35))
  const often = new Map(blockFaults.map((fault) => [fault, shape.chance(0.5) ? shape.pick([1, 1, 3]) : 0]))
  const draws = random.fork('blocks')
  const blocks = Array.from({ length: STORM }, () =>
    blockFaults.filter((fault) => draws.chance(BLOCK_RATES[fault] * (often.get(fault) ?? 0))),
  )
  return {
    seed,
    policy: { confirmations: shape.pick([1, 2, 3]), isTight: shape.chance(0.15) },
    manners: {
      alreadyKnown: shape.chance(0.5),
      queuesUnderpriced: shape.chance(0.5),
      onePerDelegated: shape.chance(0.5),
      ...(shape.chance(0.7) ? { replacementBump: 10 } : {}),
      ...(shape.chance(0.2) ? { staleBlocks: 1 } : {}),
    },
    requests,
    entries: requests.flatMap((fault) => ENTRIES[fault]),
    blocks,
    random: random.fork('way'),
  }
}

/** A schedule in which nothing goes wrong. */
export const calm = (policy: PolicyDraw): Schedule => ({
  seed: -1,
  policy,
  manners: {},
  requests: [],
  entries: [],
  blocks: Array.from({ length: STORM }, () => []),
  random: randomOf('calm'),
})

/** Which fault of the list an entry that was hit stands for. */
export function faultOf(
  method: string,
  kind: ScheduledFault['kind'],
  of: readonly RequestFault[],
): RequestFault | null {
  const fits = (fault: RequestFault) =>
    ENTRIES[fault].some((one) => one.fault.kind === kind && (one.method === '*' || one.method === method))
  return of.find(fits) ?? null
}
