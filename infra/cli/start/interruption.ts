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
 * The first SIGINT, SIGTERM or SIGHUP asks for an orderly end; a second one ends the process there and then, which the
 * journal survives like any crash.
 */
export function interruption(): Interruption {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(KILLED)
    controller.abort()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, onSignal)
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    untilAborted: () =>
      new Promise((resolve) => {
        if (controller.signal.aborted) resolve()
        else controller.signal.addEventListener('abort', () => resolve(), { once: true })
      }),
    dispose() {
      for (const name of signals) process.off(name, onSignal)
    },
  }
}
