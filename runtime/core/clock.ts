/**
 * The time of day. Nothing in `runtime`, `strategies` or `agents` asks the operating system for it: a live run
 * is handed the system's clock, a backtest and a test a clock of their own.
 *
 * Decisions use the *chain's* time (a block's timestamp); this clock is for deadlines, logs and durations, and for what
 * a person is given time for: nobody looks at the clock of a chain.
 */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number
}

/** Whole seconds since the epoch. @example unixSeconds(manualClock(1_999)) // 1n */
export const unixSeconds = (clock: Clock): bigint => BigInt(Math.floor(clock.now() / 1_000))

export const systemClock: Clock = { now: () => Date.now() }

/** A clock that stands still until it is told to move. @example const clock = manualClock(0); clock.advance(5) */
export function manualClock(start: number): Clock & { advance(milliseconds: number): void } {
  let time = start
  return {
    now: () => time,
    advance: (milliseconds) => {
      time += milliseconds
    },
  }
}
