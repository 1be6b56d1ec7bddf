import { toHex } from '../bytes.ts'
import {
  type AnswerCache,
  type AnswerLimits,
  ENTRY_BYTES,
  requireBinding,
  requireLimits,
  requireTtl,
} from './answerCache.ts'

type Kept = { readonly answer: Uint8Array; readonly until: number }

/**
 * Answers in memory, for one gateway process. What is over is let go of when its time comes, whether or not anybody
 * asks.
 *
 * @param now milliseconds of a clock that is never put back
 * @example const answers = memoryAnswers({ totalBytes: 64 << 20 })
 */
export function memoryAnswers({
  now = () => performance.now(),
  ...limits
}: AnswerLimits & { readonly now?: () => number } = {}): AnswerCache {
  const { answerBytes, totalBytes } = requireLimits(limits)
  /** In the order in which they were put. */
  const kept = new Map<string, Kept>()
  let total = 0
  /** Lets go of what is over, at the time when the first is. */
  let sweeping: { readonly timer: NodeJS.Timeout; readonly at: number } | null = null

  function drop(key: string): void {
    const entry = kept.get(key)
    if (entry === undefined) return
    kept.delete(key)
    total -= entry.answer.length + ENTRY_BYTES
  }

  function sweepAt(at: number): void {
    if (sweeping !== null && sweeping.at <= at) return
    if (sweeping !== null) clearTimeout(sweeping.timer)
    sweeping = { at, timer: setTimeout(sweep, Math.ceil(at - now())).unref() }
  }

  function sweep(): void {
    sweeping = null
    for (const [key, { until }] of kept) {
      if (until <= now()) drop(key)
      else sweepAt(until)
    }
  }

  return {
    async put(binding, answer, ttlMs) {
      requireBinding(binding)
      requireTtl(ttlMs)
      if (answer.length > answerBytes) return false
      const key = toHex(binding)
      drop(key)
      for (const oldest of kept.keys()) {
        if (total + answer.length + ENTRY_BYTES <= totalBytes) break
        drop(oldest)
      }
      const until = now() + ttlMs
      kept.set(key, { answer: Uint8Array.from(answer), until })
      total += answer.length + ENTRY_BYTES
      sweepAt(until)
      return true
    },
    async get(binding) {
      requireBinding(binding)
      const entry = kept.get(toHex(binding))
      return entry === undefined || entry.until <= now() ? undefined : Uint8Array.from(entry.answer)
    },
    async close() {
      if (sweeping !== null) clearTimeout(sweeping.timer)
      kept.clear()
      total = 0
    },
  }
}
