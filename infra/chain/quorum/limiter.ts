import type { Clock } from '../../../runtime/core/clock.ts'

/** How often a node may be asked. */
export type Limiter = {
  /** How long a request would have to wait now, in milliseconds. */
  delay(): number
  /** Takes a place in the row. @returns how long to wait for it, in milliseconds. */
  take(): number
}

export const unlimited: Limiter = { delay: () => 0, take: () => 0 }

/**
 * A token bucket of one second's requests, kept as the time at which it is full again (the generic cell rate
 * algorithm, ITU-T I.371). Whoever has to wait gets a time of its own, so that a crowd does not set off together.
 *
 * @param perSecond requests; may be a fraction
 * @example createLimiter(25, systemClock).take() // 0
 */
export function createLimiter(perSecond: number, clock: Clock): Limiter {
  const spacing = 1_000 / perSecond
  const burst = Math.max(0, 1_000 - spacing)
  let full = Number.NEGATIVE_INFINITY
  const delay = () => Math.max(0, full - burst - clock.now())
  return {
    delay,
    take() {
      const wait = delay()
      full = Math.max(full, clock.now()) + spacing
      return wait
    },
  }
}
