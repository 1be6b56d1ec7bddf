import { relative, sep } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import slowFiles from './slowFiles.json' with { type: 'json' }
import { ROOT } from './testFiles.ts'

/** Seconds that test files take on two quiet cores: those that take five and more. */
export const SLOW: Readonly<Record<string, number>> = slowFiles

/** The files, those that take longest first; all others behind them, as they were. */
export function slowestFirst<File>(files: readonly File[], pathOf: (file: File) => string): File[] {
  const seconds = (file: File): number => SLOW[pathOf(file)] ?? 0
  return [...files].sort((a, b) => seconds(b) - seconds(a))
}

/**
 * Starts the test files that take longest first, so that none of them is left to run alone when the others are done.
 * Vitest would go by what it measured in the last run, and in a fresh clone there is none.
 */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return slowestFirst(await super.sort(files), ({ moduleId }) =>
      relative(ROOT, moduleId).split(sep).join('/'),
    )
  }
}
