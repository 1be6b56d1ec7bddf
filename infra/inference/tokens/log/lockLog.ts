import { SignerError } from '../../../signer/errors.ts'
import { lockFolder } from '../../../signer/lock.ts'
import { TokenError } from '../errors.ts'

/**
 * Holds a log for this process alone; a lock that a killed process left is taken over.
 *
 * @param path of the log; the lock lies beside it
 * @param patience milliseconds to wait for a holder that is about to end
 * @returns lets go of it
 * @throws {TokenError} `LOG_LOCKED` or `LOG_UNWRITABLE`
 */
export async function lockLog(path: string, patience?: number): Promise<() => void> {
  try {
    return await lockFolder(`${path}.lock`, patience)
  } catch (error) {
    if (!(error instanceof SignerError)) throw error
    throw error.code === 'SIGNER_LOCKED'
      ? new TokenError('LOG_LOCKED', `Another process uses ${path}.`, {
          fix: 'Stop the other process, or give this one a file of its own.',
          details: error.details,
        })
      : new TokenError('LOG_UNWRITABLE', `The lock beside ${path} cannot be written.`, {
          fix: 'Make the folder writable, and make room on the disk.',
          details: { path },
        })
  }
}
