/** What Ctrl-C, or the end of the terminal, means to a command. */
export type Interruption = {
  readonly signal: AbortSignal
  abort(): void
  untilAborted(): Promise<void>
  dispose(): void
}

/** Exit code of a process that is ended by a second interruption, as shells have it. */
const KILLED = 130

/**
 * Milliseconds in which a signal is the first one again: a terminal sends Ctrl-C to everybody in the foreground, and
 * npm hands it on to what it runs.
 */
const SAME_KEY = 500

/**
 * The first SIGINT, SIGTERM or SIGHUP asks for an orderly end; a second one ends the process there and then, which the
 * journal survives like any crash.
 *
 * @example
 * const stop = interruption()
 * await stop.untilAborted()
 * stop.dispose()
 */
export function interruption(
  host: Pick<NodeJS.Process, 'on' | 'off' | 'exit'> = process,
  now: () => number = () => performance.now(),
): Interruption {
  const controller = new AbortController()
  let askedAt: number | null = null
  const onSignal = () => {
    // Whoever is told to stop while it ends by itself, of a failure, has been asked for the first time, too.
    if (askedAt !== null && now() - askedAt > SAME_KEY) host.exit(KILLED)
    askedAt ??= now()
    controller.abort()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) host.on(name, onSignal)
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    untilAborted: () =>
      new Promise((resolve) => {
        if (controller.signal.aborted) resolve()
        else controller.signal.addEventListener('abort', () => resolve(), { once: true })
      }),
    dispose() {
      for (const name of signals) host.off(name, onSignal)
    },
  }
}
