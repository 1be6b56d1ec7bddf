import type { Logger } from '../core/ports.ts'

/** How many things a log is remembered to have been told; the oldest are forgotten. */
const REMEMBERED = 1_000

const told = new WeakMap<Logger, Set<string>>()

/** Whether a log was told something that has this key. */
export const wasTold = (logger: Logger, key: string): boolean => told.get(logger)?.has(key) ?? false

/**
 * Logs what would be said again at every block otherwise, once for each key within the life of a logger.
 *
 * @example sayOnce(logger, `capped.${attempt.id}`, 'warn', { attempt: attempt.id }, 'the cap allows no higher fee')
 */
export function sayOnce(
  logger: Logger,
  key: string,
  level: 'info' | 'warn' | 'error',
  fields: object,
  message: string,
): void {
  if (wasTold(logger, key)) return
  const keys = told.get(logger) ?? new Set<string>()
  told.set(logger, keys)
  for (const oldest of keys) {
    if (keys.size < REMEMBERED) break
    keys.delete(oldest)
  }
  keys.add(key)
  logger[level](fields, message)
}
