import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { entryPoint } from '../process/entryPoint.ts'

export type StartedProtector = {
  readonly pid: number
  /** Asks it to end, and returns when it has. */
  stop(): Promise<void>
}

/**
 * Starts the protector as a process of its own, which outlives whoever started it: it is there for the moment in which
 * that one is killed. It takes the place of one that an earlier start left behind.
 *
 * @param configPath the configuration, absolute
 * @returns null when it could not be started
 * @example const protector = startProtector(config.path)
 */
export function startProtector(configPath: string): StartedProtector | null {
  const { path, execArgv } = entryPoint(import.meta.url, '../cli/main')
  const child = spawn(
    process.execPath,
    [...execArgv, path, 'protect', '--take-over', '--config', configPath],
    {
      detached: true,
      stdio: 'ignore',
    },
  )
  // What keeps it from running it says in its log; that it could not even be started has no pid.
  child.once('error', () => undefined)
  child.unref()
  const { pid } = child
  if (pid === undefined) return null
  return {
    pid,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.ref()
      child.kill('SIGTERM')
      await ended
    },
  }
}
