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

type Watched = { deadline: number; at: number; onExpiry: () => void }

const nothing = () => undefined

/**
 * Watches deadlines.
 *
 * They lie in an array in which the last takes the place of one that ends. A Set would be simpler and slower: each time
 * its table is renewed, the old one, by then in V8's old generation, keeps what it leads to from being collected
 * young, and a relay spends twice the time on that.
 *
 * @param precision milliseconds by which an expiry may be late
 */
export function createWatchdog(precision: number): Watchdog {
  const all: Watched[] = []
  const timer = setInterval(() => {
    const now = performance.now()
    // From the end, since an expiry takes its own watch out.
    for (let at = all.length - 1; at >= 0; at--) {
      const watched = all[at]
      if (watched === undefined || watched.deadline > now) continue
      watched.deadline = Number.POSITIVE_INFINITY
      watched.onExpiry()
    }
  }, precision)
  timer.unref()
  return {
    watch(onExpiry) {
      const watched: Watched = { deadline: Number.POSITIVE_INFINITY, at: all.length, onExpiry }
      all.push(watched)
      return {
        due: (milliseconds) => {
          watched.deadline = performance.now() + milliseconds
        },
        end: () => {
          if (watched.at < 0) return
          const last = all.pop()
          if (last !== undefined && last !== watched) {
            all[watched.at] = last
            last.at = watched.at
          }
          watched.at = -1
          watched.onExpiry = nothing
        },
      }
    },
    close: () => clearInterval(timer),
  }
}
