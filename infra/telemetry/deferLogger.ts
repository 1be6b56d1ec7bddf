import type { Logger } from '../../runtime/core/ports.ts'

/** A log for what begins before the log does. */
export type DeferredLogger = Logger & {
  /** Passes on what was said so far, and everything after it. */
  to(logger: Logger): void
}

/** Lines that are kept until there is a log; what comes after them is lost. */
const MAX_LINES = 1_000

/** @example const early = deferLogger(); early.warn({}, 'too soon'); early.to(logger) */
export function deferLogger(): DeferredLogger {
  let target: Logger | null = null
  const lines: { readonly level: keyof Logger; readonly fields: object; readonly message: string }[] = []
  const at = (level: keyof Logger) => (fields: object, message: string) => {
    if (target !== null) target[level](fields, message)
    else if (lines.length < MAX_LINES) lines.push({ level, fields, message })
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    to(logger) {
      target = logger
      for (const { level, fields, message } of lines.splice(0)) logger[level](fields, message)
    },
  }
}
