import { RialtoError, type RialtoErrorParameters } from '../../runtime/core/errors.ts'

/**
 * What can be wrong with what a wallet is made of, or a backup of it. None of them holds a key or a passphrase.
 *
 * | code | meaning |
 * |---|---|
 * | `PRIVATE_KEY` | what was given is no private key |
 * | `MNEMONIC` | what was given is no mnemonic, or its checksum is wrong |
 * | `KEY_FILE` | a file of another tool is no key file of version 3 |
 * | `BACKUP_DAMAGED` | a backup was cut off or edited |
 * | `BACKUP_CONFLICT` | restoring would take the place of another key |
 * | `BACKUP_UNPROVEN` | a backup was written and does not give back what it is of |
 */
export class WalletError extends RialtoError {
  override readonly name = 'WalletError'
  constructor(
    code: 'PRIVATE_KEY' | 'MNEMONIC' | 'KEY_FILE' | 'BACKUP_DAMAGED' | 'BACKUP_CONFLICT' | 'BACKUP_UNPROVEN',
    message: string,
    parameters: RialtoErrorParameters = {},
  ) {
    super(code, message, parameters)
  }
}
