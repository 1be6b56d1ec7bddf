import { writeFileSync } from 'node:fs'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import type { Change } from './compareRole.ts'
import { transactionBuilderFile } from './safeTransaction.ts'

/**
 * Writes transactions of a Safe to a file for Safe's Transaction Builder.
 *
 * @param of as for {@link transactionBuilderFile}, but for the time, which is now
 * @throws {InvalidInputError} `OUT_FILE` when it cannot be written, or exists: it may hold what owners are about to sign.
 */
export function writeTransactions(
  path: string,
  of: Omit<Parameters<typeof transactionBuilderFile>[0], 'createdAt'>,
  changes: readonly Change[],
): void {
  const file = transactionBuilderFile({ ...of, createdAt: Date.now() }, changes)
  try {
    writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`, { flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new InvalidInputError(
      `Cannot write ${path}: ${code === 'EEXIST' ? 'it exists' : (code ?? 'the disk refuses')}.`,
      { code: 'OUT_FILE', fix: 'Name another file with --out.' },
    )
  }
}
