import { setTimeout as delay } from 'node:timers/promises'
import type { Refusal } from '../protocol/network/problem.ts'
import { toHex } from '../tokens/bytes.ts'
import { TokenError } from '../tokens/errors.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import type { AnswerCache } from '../tokens/redelivery/answerCache.ts'
import { type AnswerBudget, Delivery } from './deliveries.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { CheckedPayment } from './payments.ts'
import { refusals } from './problems.ts'

/** How a spend stands that is not worked on in this process. */
export type Standing =
  /** It is ours, and nobody else's from now on. */
  | { readonly kind: 'fresh' }
  /** It was settled before; the answer, if it is still kept. */
  | { readonly kind: 'settled'; readonly due: number; readonly answer: Uint8Array | null }
  /** It was reserved by a process that is gone, or that has given it up. */
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

export type Spends = {
  /** What is under way for a spend in this process. */
  find(payment: CheckedPayment): Delivery | undefined
  /** Enters a spend as under way, so that the same one is worked on once. */
  begin(payment: CheckedPayment): Delivery
  /** Takes it out again, when it has an outcome. */
  end(payment: CheckedPayment, delivery: Delivery): void
  /**
   * Reserves a spend, durably, and tells how it stands. Waits for another process that may be working on it.
   *
   * @throws {TokenError} when it cannot be recorded, or it is not known whether it was
   */
  reserve(payment: CheckedPayment): Promise<Standing>
  /** Whether the store could not record the last spend. */
  readonly failing: boolean
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

const FIRST_PAUSE = 25
const LONGEST_PAUSE = 2_000
/** How long the answer to a spend that another process has just settled may take to be there, in milliseconds. */
const HANDOVER = 1_000
/** Added to the time that a node has, before whoever reserved a spend is taken to be gone, in milliseconds. */
const MARGIN = 60_000

/**
 * The spends that are under way in this process, before those that the store knows.
 *
 * @param parameters.shared other processes use the same store: one of them may be at work on what it reserved
 * @param parameters.longest milliseconds that a node has for an answer
 * @param parameters.cut aborted when nothing may be waited for any more
 */
export function createSpends(parameters: {
  readonly nullifiers: NullifierStore
  readonly answers: AnswerCache
  readonly budget: AnswerBudget
  readonly metrics: GatewayMetrics
  readonly shared: boolean
  readonly longest: number
  readonly cut: AbortSignal
}): Spends {
  const { nullifiers, answers, budget, metrics, shared, longest, cut } = parameters
  const byKey = new Map<string, Delivery>()
  const open = new Set<Delivery>()
  let failing = false
  let whenIdle: (() => void)[] = []
  // An answer that cannot be had is as good as one that is gone: the change does not depend on it.
  const answerOf = async (key: Uint8Array): Promise<Uint8Array | null> =>
    (await answers.get(key).catch(() => null)) ?? null

  async function look({ spend, key }: CheckedPayment): Promise<Standing> {
    let settledAt: number | undefined
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const reservation = await nullifiers.reserve(spend)
      if (reservation.kind === 'fresh') return { kind: 'fresh' }
      if (reservation.change !== null) {
        const answer = await answerOf(key)
        settledAt ??= performance.now()
        // Another process may have settled it this moment, and be about to keep the answer.
        const comes = shared && performance.now() - settledAt < HANDOVER
        if (answer !== null || !comes) return { kind: 'settled', due: reservation.change, answer }
      } else {
        // One process alone holds its store: what it did not reserve itself, or has given up, nobody works on.
        const mayBeUnderWay = shared && reservation.owner !== nullifiers.owner
        if (!mayBeUnderWay || reservation.age > longest + MARGIN) return { kind: 'abandoned' }
      }
      if (cut.aborted) return { kind: 'refused', refusal: refusals.closing }
      await delay(pause)
    }
  }

  return {
    find: ({ key }) => byKey.get(toHex(key)),
    begin({ key }) {
      const delivery = new Delivery(budget)
      byKey.set(toHex(key), delivery)
      open.add(delivery)
      return delivery
    },
    end({ key }, delivery) {
      byKey.delete(toHex(key))
      open.delete(delivery)
      delivery.forget()
      if (open.size > 0) return
      for (const resolve of whenIdle) resolve()
      whenIdle = []
    },
    async reserve(payment) {
      try {
        const standing = await look(payment)
        failing = false
        return standing
      } catch (error) {
        // Anything else may mean that it was recorded or that it was not: nobody is told that it was refused.
        if (!(error instanceof TokenError && error.code === 'NULLIFIER_SPENT')) {
          failing = true
          throw error
        }
        metrics.spentAgain.inc()
        return { kind: 'refused', refusal: refusals.tokenSpent }
      }
    },
    get failing() {
      return failing
    },
    idle: () => (open.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve))),
  }
}
