/** One exchange's deadline. */
export type Watch = {
  /** Sets the deadline, so many milliseconds from now; `Infinity` for none. */
  due(milliseconds: number): void
  /** Watches no more. */
  end(): void
}

/** Deadlines of many exchanges, at the price of one timer: setting one is a write to a field. */
export type Watchdog = {
  watch(onExpiry: () => void): Watch
  close(): void
}

/**
 * @param precision milliseconds by which an expiry may be late
 */
export function createWatchdog(precision: number): Watchdog {
  const watches = new Set<{ deadline: number; readonly onExpiry: () => void }>()
  const timer = setInterval(() => {
    const now = performance.now()
    for (const watch of watches)
      if (watch.deadline <= now) {
        watch.deadline = Number.POSITIVE_INFINITY
        watch.onExpiry()
      }
  }, precision)
  timer.unref()
  return {
    watch(onExpiry) {
      const watch = { deadline: Number.POSITIVE_INFINITY, onExpiry }
      watches.add(watch)
      return {
        due: (milliseconds) => {
          watch.deadline = performance.now() + milliseconds
        },
        end: () => watches.delete(watch),
      }
    },
    close: () => clearInterval(timer),
  }
}
