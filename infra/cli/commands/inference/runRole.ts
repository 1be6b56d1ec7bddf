import { destination, pino } from 'pino'
import type { Logger } from '../../../../runtime/core/ports.ts'
import type { LogLevel } from '../../../telemetry/createLogger.ts'
import { interruption } from '../../start/interruption.ts'
import type { Terminal } from '../../terminal.ts'

/** A role that runs. */
export type RunningRole = {
  readonly url: string
  close(grace?: number): Promise<void>
}

/** Milliseconds that open requests get to end. */
const GRACE = 10_000

/**
 * Runs one role until Ctrl-C, SIGTERM or SIGHUP; a second one ends it there and then.
 *
 * @param describe what to print once it listens: one object, of which a person gets a line
 */
export async function runRole<Role extends RunningRole>(
  terminal: Terminal,
  parameters: {
    readonly role: string
    readonly json: boolean
    readonly start: () => Promise<Role>
    readonly describe: (running: Role) => Readonly<Record<string, string>>
  },
): Promise<void> {
  const stop = interruption()
  try {
    const running = await parameters.start()
    const said = { role: parameters.role, url: running.url, ...parameters.describe(running) }
    terminal.out(
      parameters.json
        ? JSON.stringify(said)
        : Object.entries(said)
            .map(([key, value]) => `${key} ${value}`)
            .join('  '),
    )
    await stop.untilAborted()
    terminal.note(`closing: open requests have ${GRACE / 1000} s`)
    await running.close(GRACE)
  } finally {
    stop.dispose()
  }
}

/** A log on standard error, as JSON lines. */
export function roleLogger(role: string, level: LogLevel): Logger {
  const log = pino({ level, base: { role } }, destination({ dest: 2, sync: false }))
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  }
}
