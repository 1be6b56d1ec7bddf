import type { Clock } from '../../../runtime/core/clock.ts'
import { RialtoError } from '../../../runtime/core/errors.ts'
import { RpcMalformedError } from '../errors.ts'
import { RpcAnswer, RpcSilence } from '../rpc.ts'

/** Failures in a row after which a node rests. */
const THRESHOLD = 3
/** The first rest, in milliseconds. It doubles with every trial that fails. */
const FIRST_REST = 1_000
const LONGEST_REST = 30_000
/** The longest that a node can ask to be left alone, in milliseconds. */
const LONGEST_REST_ASKED = 600_000

/**
 * `healthy`: it is asked. `resting`: it failed or wants fewer requests, and is asked again after a while.
 * `unproven`: it has not answered yet, so that it is not known to be fit. `expelled`: it serves another chain, and is
 * not asked again.
 */
export type NodeState = 'healthy' | 'resting' | 'unproven' | 'expelled'

/** What is known of a node's recent manners: a circuit breaker, and counts for whoever wants to know. */
export type Health = {
  /**
   * Whether to ask it now. Of a node whose rest is over, one trial at a time is allowed: the next one after another
   * rest, unless the first went well.
   */
  admit(): boolean
  /** Whether it is neither resting nor to be tried. */
  sound(): boolean
  succeeded(milliseconds: number): void
  /** Sorts a failure: what the node did wrong, what it cannot help, and what is nobody's fault. */
  failed(error: unknown): void
  readonly counts: {
    readonly requests: number
    readonly failures: number
    /** Times it wanted fewer requests. */
    readonly limited: number
    /** How long it takes to answer, in milliseconds, the latest weighing most; null before the first answer. */
    readonly latency: number | null
    /** As one short phrase; null when there was none. */
    readonly lastFailure: string | null
  }
}

/** @example const health = createHealth(systemClock); if (health.admit()) ask(node) */
export function createHealth(clock: Clock): Health {
  let inARow = 0
  let rests = 0
  let restingUntil: number | null = null
  const counts = {
    requests: 0,
    failures: 0,
    limited: 0,
    latency: null as number | null,
    lastFailure: null as string | null,
  }

  function rest(): void {
    restingUntil = clock.now() + Math.min(FIRST_REST * 2 ** rests, LONGEST_REST)
    rests += 1
  }

  return {
    counts,
    sound: () => restingUntil === null,
    admit() {
      if (restingUntil === null) return true
      if (clock.now() < restingUntil) return false
      rest()
      return true
    },
    succeeded(milliseconds) {
      counts.requests += 1
      counts.latency = counts.latency === null ? milliseconds : 0.8 * counts.latency + 0.2 * milliseconds
      inARow = 0
      rests = 0
      restingUntil = null
    },
    failed(error) {
      counts.requests += 1
      counts.lastFailure = phraseOf(error)
      if ((error instanceof RpcAnswer || error instanceof RpcSilence) && error.limited) {
        counts.limited += 1
        if (restingUntil === null) rest()
        const asked = error instanceof RpcSilence ? Math.min(error.retryAfter ?? 0, LONGEST_REST_ASKED) : 0
        restingUntil = Math.max(restingUntil ?? 0, clock.now() + asked)
        return
      }
      counts.failures += 1
      inARow += 1
      // One that rests already has its next trial set: what was under way when it began adds nothing.
      if (restingUntil === null && inARow >= THRESHOLD) rest()
    },
  }
}

/** Whether an error shows that something is wrong with the node, rather than with what it was asked. */
export const isFault = (error: unknown): boolean =>
  error instanceof RpcSilence ||
  error instanceof RpcMalformedError ||
  (error instanceof RpcAnswer && error.retryable)

/** What a node did, as a phrase that fits into a list. What is no error of ours is a defect, and thrown. */
export function phraseOf(error: unknown): string {
  if (error instanceof RpcSilence) return `no answer (${error.reason})`
  if (error instanceof RpcAnswer) return `error ${error.rpcCode} (${error.said})`
  if (error instanceof RpcMalformedError) return `no valid answer (${String(error.details.what)})`
  if (error instanceof RialtoError) return error.code
  throw error
}
