/** Something that is done now and then. */
export type Watch = {
  /** Resolves when it was done once. */
  readonly first: Promise<void>
  /** Does it now, or as soon as the one under way is done. Never throws. */
  now(): Promise<void>
  /** Begins nothing more. What is under way ends by itself. */
  stop(): void
}

/**
 * Does something at once and then over and over, with a pause between, never twice at a time.
 *
 * @param work never throws
 * @param pause milliseconds from the end of one to the beginning of the next
 */
export function watch(work: () => Promise<void>, pause: () => number): Watch {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let stopped = false

  const run = async (): Promise<void> => {
    clearTimeout(timer)
    if (stopped) return
    await work()
    running = undefined
    if (!stopped) timer = setTimeout(start, pause())
  }
  const start = (): Promise<void> => {
    running ??= run()
    return running
  }

  return {
    first: start(),
    now() {
      if (running === undefined) return start()
      // What is under way may have looked before the caller had a reason to ask.
      next ??= running.then(() => {
        next = undefined
        return start()
      })
      return next
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
