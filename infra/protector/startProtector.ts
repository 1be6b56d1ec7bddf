import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { entryPoint } from '../process/entryPoint.ts'

/** A protector that is kept running as long as the process that started it, and outlives it. */
export type KeptProtector = {
  /** Null while none runs. */
  readonly pid: number | null
  /** Asks it to end, and returns when it has. */
  stop(): Promise<void>
}

/**
 * Starts the protector as a process of its own, which outlives whoever started it: it is there for the moment in which
 * that one is killed. It takes the place of one that an earlier start left behind. One that ends by itself is started
 * again, as often as it takes; one that its owner ended is not.
 *
 * @param configPath the configuration, absolute
 * @param pause milliseconds from its end to its next start
 * @param onEnd told when it ended by itself, or could not be started: then nobody stands behind the agents
 * @example const protector = keepProtector(config.path, 12_000, (why) => terminal.note(`no protector: ${why}`))
 */
export function keepProtector(
  configPath: string,
  pause: number,
  onEnd: (why: string) => void,
): KeptProtector {
  let child: ChildProcess | null = null
  let renewal: NodeJS.Timeout | undefined
  let isOver = false

  function lose(started: ChildProcess, why: string | null): void {
    if (child !== started) return
    child = null
    if (why === null || isOver) return
    // By the clock: whoever waits for a block, or for the start to be over, may wait for what the protector is there for.
    renewal = setTimeout(start, pause).unref()
    onEnd(why)
  }

  function start(): void {
    const { path, execArgv } = entryPoint(import.meta.url, '../cli/main')
    const started = spawn(
      process.execPath,
      [...execArgv, path, 'protect', '--take-over', '--config', configPath],
      { detached: true, stdio: 'ignore' },
    )
    child = started
    started.once('error', (error) => lose(started, `it could not be started: ${error.message}`))
    // Whoever ends it on purpose ends it in good order.
    started.once('exit', (code, signal) => lose(started, code === 0 ? null : (signal ?? `exit code ${code}`)))
    started.unref()
  }

  start()
  return {
    get pid() {
      return child?.pid ?? null
    },
    async stop() {
      isOver = true
      clearTimeout(renewal)
      const last = child
      if (last === null || last.exitCode !== null || last.signalCode !== null) return
      const ended = once(last, 'exit')
      last.ref()
      last.kill('SIGTERM')
      await ended
    },
  }
}
