import { setTimeout as delay } from 'node:timers/promises'
import { type Clock, systemClock } from '../../../runtime/core/clock.ts'

/** A clock that can be waited on. */
export type Timer = Clock & {
  /** Resolves after the time, or as soon as the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

/** The system's time. */
export const systemTimer: Timer = {
  ...systemClock,
  async sleep(milliseconds, signal) {
    try {
      await delay(milliseconds, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      if (signal?.aborted !== true) throw error
    }
  },
}
