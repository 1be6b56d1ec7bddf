import { createLogger, type FileLogger } from '../telemetry/createLogger.ts'
import type { Terminal } from './terminal.ts'

/**
 * The log of a command that works beside the runtime: the runtime's own file. That it cannot be written is said once.
 *
 * @example const logger = openLog(config.directory, terminal)
 */
export const openLog = (directory: string, terminal: Pick<Terminal, 'note'>): FileLogger =>
  createLogger({
    directory,
    level: 'info',
    onFailure: (error) => terminal.note(`rialto: the log cannot be written: ${error.message}`),
  })
