import { keccak256 } from 'viem'
import {
  BlockGoneError,
  NoQuorumError,
  OutcomeUnknownError,
  RpcUnreachableError,
  TransactionRefusedError,
} from '../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { CallFault, FaultPlan, PortName } from './faults.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** One life of one process: when it ends, all that it held in memory ends with it. */
export type Process = {
  readonly name: string
  isAlive: boolean
  /** Its event loop does nothing before that time. */
  stalledUntil: number
}

export type Wires = {
  readonly scheduler: Scheduler
  readonly faults: FaultPlan
  readonly random: Random
  /** Ends a process; whoever watches over it starts another. */
  kill(process: Process, why: string): void
  /** Takes what a node was given out of every pool again. */
  forget(raw: Hash): void
  /** Fails a call because what it is to reach is down: what it throws then; null while it is up. */
  outage(port: PortName): RialtoError | null
  /** Told of every request when it reaches its port, before it has any effect. */
  onArrival(port: PortName, method: string, args: readonly unknown[], process: Process): void
  /** Told of every request that had its effect. */
  onEffect(port: PortName, method: string, args: readonly unknown[], process: Process): Promise<void>
}

/** The store is away for a moment. Nothing is known of what it was asked for last. */
export class StoreAwayError extends RialtoError {
  override readonly name = 'StoreAwayError'
  constructor() {
    super('DATABASE_UNREACHABLE', 'No PostgreSQL answers (the connection was closed).', { retryable: true })
  }
}

/** The signer's process is away for a moment. */
export class SignerAwayError extends RialtoError {
  override readonly name = 'SignerAwayError'
  constructor() {
    super('SIGNER_GONE', 'The signer does not answer.', { retryable: true })
  }
}

const HOST = 'twin:8545'
const MILLISECOND = 1
const SECOND = 1_000

type Outcome = { readonly value: unknown } | { readonly error: unknown }

/**
 * A port as a process sees it over wires that fail: every call is numbered, travels, has its effect at some moment of
 * virtual time or never, and is answered, or not.
 */
export function wired<T extends object>(port: T, name: PortName, process: Process, wires: Wires): T {
  return new Proxy(port, {
    get(target, key) {
      const member = Reflect.get(target, key)
      if (typeof member !== 'function' || typeof key !== 'string') return member
      return (...args: unknown[]) =>
        travel(name, key, args, () => Reflect.apply(member, target, args), process, wires)
    },
  })
}

function travel(
  port: PortName,
  method: string,
  args: readonly unknown[],
  run: () => unknown,
  process: Process,
  wires: Wires,
): Promise<unknown> {
  const { scheduler, faults, random } = wires
  return new Promise((resolve, reject) => {
    // A process that is over waits for ever: nothing of it goes on.
    if (!process.isAlive) return
    const fault = faults.ofCall(port, method)
    scheduler.note(`${process.name} ${port}.${method} ${subject(args)}${fault === null ? '' : ` [${fault}]`}`)
    const answer = (outcome: Outcome, delay: number) => {
      const deliver = () => {
        if (!process.isAlive) return
        if (process.stalledUntil > scheduler.now()) scheduler.at(process.stalledUntil, deliver)
        else if ('error' in outcome) reject(outcome.error)
        else resolve(outcome.value)
      }
      scheduler.at(scheduler.now() + delay, deliver)
    }
    const effect = async (): Promise<Outcome> => {
      const outage = wires.outage(port)
      if (outage !== null) return { error: outage }
      wires.onArrival(port, method, args, process)
      const outcome = await Promise.resolve()
        .then(run)
        .then(
          (value): Outcome => ({ value }),
          (error): Outcome => ({ error }),
        )
      if ('error' in outcome) scheduler.note(`  ${port}.${method} throws ${codeOf(outcome.error)}`)
      await wires.onEffect(port, method, args, process)
      return outcome
    }
    const latency = (port === 'chain' ? random.between(5, 80) : random.between(1, 6)) * MILLISECOND
    const slow = random.between(1, 40) * SECOND
    const arrive = (then: (outcome: Outcome) => void, after = latency) =>
      scheduler.at(scheduler.now() + after, async () => then(await effect()))
    const fail = (error: unknown, delay = latency) => answer({ error }, delay)
    if (fault === null) arrive((outcome) => answer(outcome, latency))
    else plays[fault]({ arrive, answer, fail, latency, slow, hash: hashOf(args), process, wires, method })
  })
}

type Play = {
  readonly arrive: (then: (outcome: Outcome) => void, after?: number) => void
  readonly answer: (outcome: Outcome, delay: number) => void
  readonly fail: (error: unknown, delay?: number) => void
  readonly latency: number
  readonly slow: number
  readonly hash: Hash
  readonly method: string
  readonly process: Process
  readonly wires: Wires
}

/** How each fault plays out. */
const plays: Readonly<Record<CallFault, (part: Play) => void>> = {
  'crash before': ({ wires, process }) => wires.kill(process, 'crash before'),
  'crash with the request out'({ wires, process, arrive, slow }) {
    wires.kill(process, 'crash with the request out')
    arrive(() => undefined, slow)
  },
  'crash after': ({ wires, process, arrive }) => arrive(() => wires.kill(process, 'crash after')),
  'event loop stalled'({ wires, process, arrive, answer, latency }) {
    process.stalledUntil = wires.scheduler.now() + wires.random.between(31, 120) * SECOND
    arrive((outcome) => answer(outcome, latency))
  },
  'answer slow'({ wires, arrive, answer, latency, slow }) {
    // Before its effect or after it: a request that waits in a queue, and an answer that does.
    if (wires.random.chance(0.5)) arrive((outcome) => answer(outcome, latency), slow)
    else arrive((outcome) => answer(outcome, slow))
  },
  'rpc unreachable': ({ fail, method }) =>
    fail(new RpcUnreachableError(method, HOST, 'the connection was reset')),
  'no quorum': ({ fail, method }) =>
    fail(new NoQuorumError(method, 2, ['a: one thing', 'b: another', 'c: no answer'])),
  'receipt null': ({ answer, latency }) => answer({ value: null }, latency),
  'block gone': ({ fail, hash }) => fail(new BlockGoneError(hash, HOST)),
  'send: accepted, then timed out': ({ arrive, fail, hash, slow }) =>
    arrive(() => fail(new OutcomeUnknownError(hash, HOST, 'no answer in time'), slow)),
  'send: lost, then timed out': ({ fail, hash, slow }) =>
    fail(new OutcomeUnknownError(hash, HOST, 'no answer in time'), slow),
  'send: accepted, then refused': ({ arrive, fail, hash, wires }) => {
    const reason = wires.random.pick(LIES)
    arrive(() => fail(new TransactionRefusedError(reason, hash, HOST, 'a lie')))
  },
  'send: refused for now': ({ fail, hash, wires }) =>
    fail(new TransactionRefusedError(wires.random.pick(PASSING), hash, HOST, 'not now')),
  // An error that nobody expected proves nothing; the bytes may be there.
  'send: strange refusal': ({ arrive, fail, hash, wires }) => {
    const strange = () => fail(new OutcomeUnknownError(hash, HOST, 'code -32099'))
    if (wires.random.chance(0.5)) strange()
    else arrive(strange)
  },
  'send: twice': ({ arrive, answer, latency, slow }) => {
    arrive((outcome) => answer(outcome, latency))
    arrive(() => undefined, slow)
  },
  'send: accepted, then forgotten': ({ arrive, answer, hash, latency, wires }) =>
    arrive((outcome) => {
      wires.forget(hash)
      answer(outcome, latency)
    }),
  'database refuses': ({ fail }) => fail(new StoreAwayError()),
  'database commits, answer lost': ({ arrive, fail }) => arrive(() => fail(new StoreAwayError())),
  'signer refuses for now': ({ fail }) => fail(new SignerAwayError()),
  'signer signs, answer lost': ({ arrive, fail }) => arrive(() => fail(new SignerAwayError())),
}

/** Refusals of a node that has taken the bytes all the same. */
const LIES = ['NONCE_TOO_LOW', 'INSUFFICIENT_FUNDS', 'REPLACEMENT_UNDERPRICED', 'MALFORMED'] as const
const PASSING = ['POOL_FULL', 'FEE_TOO_LOW', 'NONCE_TOO_HIGH', 'ACCOUNT_BUSY'] as const

const isRaw = (value: unknown): value is Hash =>
  typeof value === 'string' && value.startsWith('0x') && value.length > 66

const hashes = new Map<Hash, Hash>()

/** Keccak-256 of signed bytes, which come by again and again. */
export function hashOfBytes(raw: Hash): Hash {
  const known = hashes.get(raw)
  if (known !== undefined) return known
  if (hashes.size > 1_000) hashes.clear()
  const made = keccak256(raw)
  hashes.set(raw, made)
  return made
}

/** The hash that a call is about: of the bytes that it sends, or of the block that it names. */
function hashOf(args: readonly unknown[]): Hash {
  const found = args.find((value): value is Hash => typeof value === 'string' && value.startsWith('0x'))
  return found === undefined ? '0x' : isRaw(found) ? hashOfBytes(found) : found
}

/** What a call is about, short: ids and hashes, and of a step where it leads. */
function subject(args: readonly unknown[]): string {
  return args.map(brief).filter(Boolean).join(' ')
}

function brief(value: unknown): string {
  if (isRaw(value)) return hashOfBytes(value).slice(0, 10)
  if (typeof value === 'string') return value.startsWith('0x') ? value.slice(0, 10) : value.slice(0, 60)
  if (typeof value === 'bigint' || typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return ''
  const fields = value as Record<string, unknown>
  return ['id', 'attemptId', 'purpose', 'to', 'status', 'nonce', 'token', 'failure']
    .map((key) => (key in fields ? brief(fields[key]) : ''))
    .filter(Boolean)
    .join(' ')
}

const codeOf = (error: unknown): string =>
  error instanceof RialtoError
    ? `${error.code}${'reason' in error ? ` ${String(error.reason)}` : ''}`
    : String(error)
