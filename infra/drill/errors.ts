import { RialtoError } from '../../runtime/core/errors.ts'

/** The rehearsal itself could not be held: it says nothing about the protection. */
export class DrillError extends RialtoError {
  override readonly name = 'DrillError'
  constructor(why: string, fix: string, details: Readonly<Record<string, unknown>> = {}) {
    super('DRILL', `The drill could not be held: ${why}.`, { fix, details })
  }
}
