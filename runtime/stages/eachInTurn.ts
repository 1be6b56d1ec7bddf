import { describeError } from '../core/errors.ts'
import type { Logger } from '../core/ports.ts'

/**
 * Does one thing after the other, each whatever became of those before it.
 *
 * @throws the first failure when all are through; the others are logged.
 */
export async function eachInTurn(logger: Logger, steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps)
    await step().catch((error: unknown) => {
      failures.push(error)
    })
  for (const error of failures.slice(1))
    logger.error({ error: describeError(error) }, 'failed beside another')
  if (failures.length > 0) throw failures[0]
}
