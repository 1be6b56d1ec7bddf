import { join } from 'node:path'
import { destination, pino } from 'pino'
import type { Logger } from '../../runtime/core/ports.ts'

export type FileLogger = Logger & {
  /** Where it writes. */
  readonly path: string
  close(): Promise<void>
}

/** The levels that `RIALTO_LOG` takes, from the most talkative. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** How long the last lines may take to be written, in milliseconds. */
const CLOSE_TIMEOUT = 1_000

/**
 * A structured log (JSON lines, pino) in Rialto's folder, so that the terminal stays readable.
 *
 * A log that cannot be written must not stop a rescue: the failure is reported once and the log goes on empty.
 *
 * @example createLogger({ directory: '.rialto', level: 'info', onFailure: (error) => terminal.note(error.message) })
 */
export function createLogger(options: {
  readonly directory: string
  readonly level: LogLevel
  onFailure(error: Error): void
}): FileLogger {
  const path = join(options.directory, 'rialto.log')
  const stream = destination({ dest: path, sync: false, mkdir: true, append: true })
  let failed = false
  stream.on('error', (error: Error) => {
    if (failed) return
    failed = true
    options.onFailure(error)
  })
  const log = pino({ level: options.level, base: { pid: process.pid } }, stream)
  return {
    path,
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    close: () =>
      new Promise((resolve) => {
        // A stream that cannot write what it holds (a full disk) never closes.
        const patience = setTimeout(resolve, CLOSE_TIMEOUT)
        stream.once('close', () => {
          clearTimeout(patience)
          resolve()
        })
        stream.end()
      }),
  }
}
