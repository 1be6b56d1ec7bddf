import type { Random } from './random.ts'

/** What can go wrong with one call of a port. */
export const callFaults = [
  'crash before',
  'crash with the request out',
  'crash after',
  'event loop stalled',
  'answer slow',
  'rpc unreachable',
  'no quorum',
  'receipt null',
  'block gone',
  'send: accepted, then timed out',
  'send: lost, then timed out',
  'send: accepted, then refused',
  'send: refused for now',
  'send: strange refusal',
  'send: twice',
  'send: accepted, then forgotten',
  'database refuses',
  'database commits, answer lost',
  'signer refuses for now',
  'signer signs, answer lost',
] as const
export type CallFault = (typeof callFaults)[number]

/** What can happen in the world besides. */
export const worldFaults = [
  'reorg',
  'reorg of depth 1',
  'reorg of depth 2',
  'reorg of depth 3',
  'reorg of depth 4',
  'reorg of depth 5',
  'reorg of depth 6',
  'reorg of depth 7',
  'reorg of depth 8',
  'reorg: another transaction on the nonce',
  'reorg: from failed to succeeded or back',
  'base fee times ten',
  'outside transaction',
  'authorisation by a stranger',
  'node lags',
  'node down',
  'evicted from the pools',
  'reverts for reasons of its own',
  'price falls',
  'price rises',
  'power cut, journal thrown back',
  'power cut',
  'process killed',
  'database restarted',
  'signer restarted',
  'redis wiped',
  'job twice',
  'job late',
  'job lost',
  'two workers at once',
  'halt',
  'halt --reduce-only',
  'resume',
  'orders unreadable',
  'protector killed',
  'protector stalled',
  'protector acts',
  'relay loses',
  'relay delays',
  'relay leaks',
  'relay includes',
  'approves',
  'approves late',
  'approves twice',
  'rejects',
  'never answers',
  'approves after expiry',
  'approves after a drift',
] as const
export type WorldFault = (typeof worldFaults)[number]

export type Fault = CallFault | WorldFault

export type PortName = 'chain' | 'journal' | 'signer'

/** How likely each fault is per call, before the seed's own weight. */
const CALL_RATES: Readonly<Record<CallFault, number>> = {
  'crash before': 0.0005,
  'crash with the request out': 0.0005,
  'crash after': 0.0005,
  'event loop stalled': 0.0005,
  'answer slow': 0.004,
  'rpc unreachable': 0.004,
  'no quorum': 0.004,
  'receipt null': 0.06,
  'block gone': 0.003,
  'send: accepted, then timed out': 0.15,
  'send: lost, then timed out': 0.15,
  'send: accepted, then refused': 0.1,
  'send: refused for now': 0.1,
  'send: strange refusal': 0.1,
  'send: twice': 0.1,
  'send: accepted, then forgotten': 0.1,
  'database refuses': 0.003,
  'database commits, answer lost': 0.004,
  'signer refuses for now': 0.03,
  'signer signs, answer lost': 0.05,
}

/** How likely each is per block; of those of jobs, per job. */
const WORLD_RATES: Readonly<Record<WorldFault, number>> = {
  // How deep one goes is drawn when it comes.
  reorg: 0.12,
  'reorg of depth 1': 0,
  'reorg of depth 2': 0,
  'reorg of depth 3': 0,
  'reorg of depth 4': 0,
  'reorg of depth 5': 0,
  'reorg of depth 6': 0,
  'reorg of depth 7': 0,
  'reorg of depth 8': 0,
  'reorg: another transaction on the nonce': 0.4,
  'reorg: from failed to succeeded or back': 0.3,
  'base fee times ten': 0.05,
  'outside transaction': 0.05,
  'authorisation by a stranger': 0.3,
  'node lags': 0.15,
  'node down': 0.05,
  'evicted from the pools': 0.08,
  'reverts for reasons of its own': 0.1,
  'price falls': 0.15,
  'price rises': 0.1,
  'power cut, journal thrown back': 0.03,
  'power cut': 0.02,
  'process killed': 0.05,
  'database restarted': 0.04,
  'signer restarted': 0.05,
  'redis wiped': 0.04,
  'job twice': 0.1,
  'job late': 0.05,
  'job lost': 0.05,
  'two workers at once': 0.5,
  halt: 0.02,
  'halt --reduce-only': 0.03,
  'orders unreadable': 0.02,
  'protector killed': 0.05,
  'protector stalled': 0.04,
  'relay loses': 0.12,
  'relay delays': 0.12,
  'relay leaks': 0.12,
  // How often these are is drawn where they happen.
  resume: 0,
  'protector acts': 0,
  'relay includes': 0,
  approves: 0,
  'approves late': 0,
  'approves twice': 0,
  rejects: 0,
  'never answers': 0,
  'approves after expiry': 0,
  'approves after a drift': 0,
}

const READS_OF_QUORUM = new Set(['head', 'block', 'nonce', 'receipt', 'transaction', 'transactionAt'])

const BY_PORT: Readonly<Record<PortName, readonly CallFault[]>> = {
  chain: ['rpc unreachable', 'block gone'],
  journal: ['database refuses', 'database commits, answer lost'],
  signer: ['signer refuses for now', 'signer signs, answer lost'],
}
const ANY: readonly CallFault[] = [
  'crash before',
  'crash with the request out',
  'crash after',
  'event loop stalled',
  'answer slow',
]
const SENDING = callFaults.filter((fault) => fault.startsWith('send:'))
const PINNED = new Set(['read', 'code', 'balance', 'nonce', 'simulate', 'transactionAt'])

/** What may happen to a call, by what it is. */
function possible(port: PortName, method: string): readonly CallFault[] {
  if (port !== 'chain') return [...ANY, ...BY_PORT[port]]
  if (method === 'sendRaw') return [...ANY, 'rpc unreachable', ...SENDING]
  return [
    ...ANY,
    'rpc unreachable',
    ...(READS_OF_QUORUM.has(method) ? (['no quorum'] as const) : []),
    ...(method === 'receipt' || method === 'transaction' ? (['receipt null'] as const) : []),
    ...(PINNED.has(method) ? (['block gone'] as const) : []),
  ]
}

/** A seed's own choice of what goes wrong: which faults there are at all, and how often. */
export type FaultPlan = {
  /** What happens to the next call; null: nothing. */
  ofCall(port: PortName, method: string): CallFault | null
  /** Whether a fault of the world happens now. */
  strikes(fault: WorldFault): boolean
  /** From now on nothing goes wrong any more. */
  end(): void
  readonly isOver: boolean
  readonly hits: ReadonlyMap<Fault, number>
  count(fault: Fault): void
}

/**
 * Draws the plan of a seed. Each seed has about half of the faults, some of them ten times as often as others: what
 * needs two rare ones together would hardly ever be met if every seed had all of them at one rate.
 *
 * @param always faults that the seed has in any case, and often
 */
export function createFaultPlan(random: Random, always: readonly Fault[] = []): FaultPlan {
  const weights = new Map<Fault, number>()
  const shape = random.fork('shape')
  // Some seeds are nearly calm, so that plain ways through the machine are covered as well.
  const storm = shape.pick([0.2, 0.6, 1, 1, 2])
  for (const fault of [...callFaults, ...worldFaults])
    weights.set(fault, shape.chance(0.5) ? storm * shape.pick([0.3, 1, 1, 3]) : 0)
  for (const fault of always) weights.set(fault, 3)
  const draws = random.fork('draws')
  const hits = new Map<Fault, number>()
  const count = (fault: Fault) => void hits.set(fault, (hits.get(fault) ?? 0) + 1)
  let isOver = false
  return {
    ofCall(port, method) {
      if (isOver) return null
      let mark = draws.next()
      for (const fault of possible(port, method)) {
        mark -= CALL_RATES[fault] * (weights.get(fault) ?? 0)
        if (mark >= 0) continue
        count(fault)
        return fault
      }
      return null
    },
    strikes(fault) {
      if (isOver || !draws.chance(WORLD_RATES[fault] * (weights.get(fault) ?? 0))) return false
      count(fault)
      return true
    },
    end() {
      isOver = true
    },
    get isOver() {
      return isOver
    },
    hits,
    count,
  }
}
