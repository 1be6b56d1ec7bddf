import { RialtoError, type RialtoErrorParameters } from '../../runtime/core/errors.ts'

/**
 * Everything that the signer can answer instead of a signature. Programs match on these; never rename one.
 *
 * | code | meaning |
 * |---|---|
 * | `PLAN_REFUSED` | the signer's own policy does not allow the plan; `details.denial` says why |
 * | `PLAN_HASH_MISMATCH` | the plan is not the one that the hash is of |
 * | `NONCE_SIGNED` | the nonce, or one that the transaction would use, belongs to another attempt |
 * | `INTENT_SIGNED` | the intent has a signature already, on another nonce; or the attempt has one, for another plan |
 * | `REPLACEMENT_UNDERPRICED` | the nonce has a signature, and one of the fees is not a tenth higher; `details` has the least |
 * | `APPROVAL_MISSING` | the policy asks a person, and the request carries nobody's approval |
 * | `APPROVAL_INVALID` | the approval is for something else, expired, or not by enough owners; `details.why` says which |
 * | `ATTEMPT_ABANDONED` | the attempt was given up, and its nonce may be another's by now |
 * | `FENCED` | a newer holder of the account's lease was here |
 * | `UNKNOWN_ACCOUNT` | no key of this signer is that account's |
 * | `LEDGER_UNWRITABLE` | what is signed cannot be recorded, so nothing is signed |
 * | `LEDGER_CORRUPT` | the ledger was damaged or edited |
 * | `SIGNER_LOCKED` | another signer uses the same folder |
 * | `KEYSTORE` | a key file or the passphrase is missing, unreadable or wrong |
 * | `KEY_HOLDER` | a remote signer or a KMS did not sign, or not what it was asked to; `details.why` says which |
 * | `SIGNER_CONFIGURATION` | what the signer was started with does not fit together |
 * | `SIGNER_REQUEST` | a message that is none |
 * | `SIGNER_GONE` | the process ended before it answered, or none runs; asking again gives the same bytes |
 * | `SIGNER_FAILED` | a defect in the signer |
 */
export const signerErrorCodes = [
  'PLAN_REFUSED',
  'PLAN_HASH_MISMATCH',
  'NONCE_SIGNED',
  'INTENT_SIGNED',
  'REPLACEMENT_UNDERPRICED',
  'APPROVAL_MISSING',
  'APPROVAL_INVALID',
  'ATTEMPT_ABANDONED',
  'FENCED',
  'UNKNOWN_ACCOUNT',
  'LEDGER_UNWRITABLE',
  'LEDGER_CORRUPT',
  'SIGNER_LOCKED',
  'KEYSTORE',
  'KEY_HOLDER',
  'SIGNER_CONFIGURATION',
  'SIGNER_REQUEST',
  'SIGNER_GONE',
  'SIGNER_FAILED',
] as const
export type SignerErrorCode = (typeof signerErrorCodes)[number]

/**
 * An answer of the signer that is no signature. One class, so that it crosses the pipe by its code alone: matching
 * is on {@link code}, on both sides. It holds neither a key nor a passphrase nor signed bytes.
 */
export class SignerError extends RialtoError {
  override readonly name = 'SignerError'
  declare readonly code: SignerErrorCode
  constructor(code: SignerErrorCode, message: string, parameters: RialtoErrorParameters = {}) {
    super(code, message, parameters)
  }
}
