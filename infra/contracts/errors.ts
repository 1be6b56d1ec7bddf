import { RialtoError } from '../../runtime/core/errors.ts'

/** Our contracts cannot be deployed, or were not. */
export class NotDeployedError extends RialtoError {
  override readonly name = 'NotDeployedError'
  /** @param why one line */
  constructor(why: string) {
    super('NOT_DEPLOYED', `The contracts cannot be deployed: ${why}.`, {
      fix: 'Run rialto contracts again: it says what is there by now, and what is missing.',
    })
  }
}
