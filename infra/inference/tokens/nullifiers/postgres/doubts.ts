import { type Spend, spendKey } from '../../change/spend.ts'

/** Attempts to reserve a spend of which nobody knows whether they were recorded. */
export type Doubts = {
  put(spend: Spend, attempt: string): void
  /** The attempt that was made for this spend; it is forgotten by this. */
  take(spend: Spend): string | undefined
}

/**
 * Remembers attempts of unknown outcome, and of too many the latest. A spend whose attempt is forgotten is told as
 * repeated if it was recorded: nothing is spent twice by it.
 */
export function createDoubts(most: number): Doubts {
  const attempts = new Map<string, string>()
  return {
    put(spend, attempt) {
      attempts.set(spendKey(spend), attempt)
      for (const oldest of attempts.keys()) {
        if (attempts.size <= most) break
        attempts.delete(oldest)
      }
    },
    take(spend) {
      if (attempts.size === 0) return undefined
      const key = spendKey(spend)
      const attempt = attempts.get(key)
      attempts.delete(key)
      return attempt
    },
  }
}
