/** A body of up to so many bytes is counted by nobody: how many of them there are is limited by whoever serves them. */
export const FREE_LENGTH = 65_536

/**
 * The memory that bodies may take while they are received, all together.
 *
 * Without it, senders that nobody knows yet hold as much as the largest body each, for as long as they send a byte now
 * and then. Bodies of up to {@link FREE_LENGTH} are no part of it.
 */
export type BodyBudget = {
  /** Bytes that are counted now. */
  readonly held: number
  /**
   * Counts so many bytes for a body, in the place of what was counted for it before.
   *
   * Where there is no room, the body that has come at the lowest rate since it began is given up, until there is:
   * a place is kept by sending, and not by having sent. That may be the body that asks.
   *
   * @param owner what the body belongs to, such as its request
   * @param begun when the body began, of `performance.now()`
   * @param giveUp called when it has to make room for another; it is counted no more by then
   * @returns false when it is this body that has no room: nothing is counted for it any more
   */
  take(owner: object, bytes: number, begun: number, giveUp: (fault: 'crowded') => void): boolean
  /** The body is whole: it is counted still, and not given up any more. */
  keep(owner: object): void
  /** Counts nothing for it any more. Nothing happens where nothing was counted. */
  release(owner: object): void
}

type Share = { bytes: number; readonly begun: number; giveUp: ((fault: 'crowded') => void) | undefined }

/**
 * @param limit bytes; not less than the largest body that is taken has to have
 * @param now milliseconds of a clock that only goes forward; `performance.now()` by default
 * @example
 * const budget = createBodyBudget(256 * 1024 * 1024)
 * try {
 *   await use(await readBody(request, { most: 8_388_608, budget }))
 * } finally {
 *   budget.release(request)
 * }
 */
export function createBodyBudget(limit: number, now: () => number = () => performance.now()): BodyBudget {
  const shares = new Map<object, Share>()
  let held = 0

  function release(owner: object): void {
    const share = shares.get(owner)
    if (share === undefined) return
    shares.delete(owner)
    held -= share.bytes
  }

  /** Of those that are still on their way, the one with the fewest bytes for its time. */
  function slowest(): object | undefined {
    const at = now()
    let found: object | undefined
    let lowest = Number.POSITIVE_INFINITY
    for (const [owner, { bytes, begun, giveUp }] of shares) {
      const rate = bytes / Math.max(1, at - begun)
      if (giveUp === undefined || rate >= lowest) continue
      found = owner
      lowest = rate
    }
    return found
  }

  return {
    get held() {
      return held
    },
    take(owner, bytes, begun, giveUp) {
      release(owner)
      if (bytes > limit) return false
      shares.set(owner, { bytes, begun, giveUp })
      held += bytes
      while (held > limit) {
        // There is one: the body that asks is among them.
        const found = slowest() ?? owner
        const share = shares.get(found)
        release(found)
        if (found === owner) return false
        share?.giveUp?.('crowded')
      }
      return true
    },
    keep(owner) {
      const share = shares.get(owner)
      if (share !== undefined) share.giveUp = undefined
    },
    release,
  }
}
