import { InvalidInputError } from '../../../runtime/core/errors.ts'

/** What a mint was started with contradicts itself or is none of what was asked for. */
export class MintOptionsError extends InvalidInputError {
  override readonly name = 'MintOptionsError'
  constructor(problem: string, fix: string, details: Readonly<Record<string, unknown>> = {}) {
    super(problem, { code: 'MINT_OPTIONS', fix, details })
  }
}

/** A file in a mint's folder is damaged, or cannot be used as it is. */
export class MintStateError extends InvalidInputError {
  override readonly name = 'MintStateError'
  /** @param problem as a clause that follows the path */
  constructor(path: string, problem: string, fix = 'Restore the file from a backup.', cause?: unknown) {
    super(`${path} ${problem}.`, { code: 'MINT_STATE', fix, details: { path }, cause })
  }
}
