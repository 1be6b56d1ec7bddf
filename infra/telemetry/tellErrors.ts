import type { Logger } from '../../runtime/core/ports.ts'

/** Different lines that are told; whoever needs more reads the log. */
const MOST = 20

/**
 * The same log, whose errors are told to a person as well: each different line once, so that what fails in every
 * block does not bury the rest.
 *
 * @example const logger = tellErrors(createLogger(options), terminal.note)
 */
export function tellErrors<L extends Logger>(logger: L, tell: (line: string) => void): L {
  const told = new Set<string>()
  return {
    ...logger,
    error(fields: object, message: string) {
      logger.error(fields, message)
      const { error } = fields as { error?: unknown }
      const line = typeof error === 'string' ? `${message}: ${error}` : message
      if (told.has(line) || told.size >= MOST) return
      told.add(line)
      tell(told.size < MOST ? `  ! ${line}` : '  ! and more: see the log')
    },
  }
}
