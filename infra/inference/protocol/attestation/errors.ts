import { RialtoError, type RialtoErrorParameters } from '../../../../runtime/core/errors.ts'

/**
 * Why an attestation is refused, or could not be had. Programs match on these; never rename one.
 *
 * | code | meaning |
 * |---|---|
 * | `ATTESTATION_FORMAT` | not the JSON form, or larger than is read |
 * | `ATTESTATION_NOT_TDX` | the quote is none of TDX: another TEE, version or key type, cut short, or with more behind it |
 * | `ATTESTATION_SIGNATURE` | a signature inside the quote does not hold |
 * | `ATTESTATION_CHAIN` | a certificate chain does not lead to a pinned root |
 * | `ATTESTATION_REVOKED` | a certificate is on its issuer's revocation list |
 * | `ATTESTATION_COLLATERAL_MISSING` | a part of the collateral is not there |
 * | `ATTESTATION_COLLATERAL_SIGNATURE` | a part of the collateral is malformed, or was not signed by whom it must be |
 * | `ATTESTATION_COLLATERAL_EXPIRED` | a certificate or a part of the collateral is out of date, or not valid yet |
 * | `ATTESTATION_PLATFORM` | the collateral is of another platform than the quote |
 * | `ATTESTATION_QUOTING_ENCLAVE` | the enclave that signed the quote is not the one that the collateral names |
 * | `ATTESTATION_TDX_MODULE` | the TDX module is not the one that the collateral names |
 * | `ATTESTATION_TCB_STATUS` | the platform's security level is not accepted |
 * | `ATTESTATION_DEBUG` | the trust domain can be debugged, so its host can read it |
 * | `ATTESTATION_ATTRIBUTES` | the trust domain has other attributes that weaken it |
 * | `ATTESTATION_MEASUREMENTS` | what runs in the trust domain is not pinned |
 * | `ATTESTATION_REPORT_DATA` | the quote was made for another identity, or for other keys |
 * | `ATTESTATION_REFUSED` | the verification library refuses it for another reason, or cannot be relied on here |
 * | `ATTESTATION_COMMAND` | the command that makes quotes failed, or gave something else |
 */
export const attestationErrorCodes = [
  'ATTESTATION_FORMAT',
  'ATTESTATION_NOT_TDX',
  'ATTESTATION_SIGNATURE',
  'ATTESTATION_CHAIN',
  'ATTESTATION_REVOKED',
  'ATTESTATION_COLLATERAL_MISSING',
  'ATTESTATION_COLLATERAL_SIGNATURE',
  'ATTESTATION_COLLATERAL_EXPIRED',
  'ATTESTATION_PLATFORM',
  'ATTESTATION_QUOTING_ENCLAVE',
  'ATTESTATION_TDX_MODULE',
  'ATTESTATION_TCB_STATUS',
  'ATTESTATION_DEBUG',
  'ATTESTATION_ATTRIBUTES',
  'ATTESTATION_MEASUREMENTS',
  'ATTESTATION_REPORT_DATA',
  'ATTESTATION_REFUSED',
  'ATTESTATION_COMMAND',
] as const
export type AttestationErrorCode = (typeof attestationErrorCodes)[number]

/** What to do next, where the thrower knows no better. */
const fixes: Readonly<Record<AttestationErrorCode, string>> = {
  ATTESTATION_FORMAT: 'Publish the attestation in the JSON form that attestation/README.md describes.',
  ATTESTATION_NOT_TDX: 'Take a TDX quote of version 4 or 5 inside the trust domain.',
  ATTESTATION_SIGNATURE: 'Do not use this node: its quote was altered or is not genuine.',
  ATTESTATION_CHAIN: 'Do not use this node, or pin the root that its platform descends from.',
  ATTESTATION_REVOKED: 'Do not use this node: the platform is no longer trusted by its maker.',
  ATTESTATION_COLLATERAL_MISSING: 'Have the node deliver its whole collateral beside the quote.',
  ATTESTATION_COLLATERAL_SIGNATURE: 'Have the node fetch its collateral again.',
  ATTESTATION_COLLATERAL_EXPIRED: 'Have the node fetch its collateral again, and check the clock here.',
  ATTESTATION_PLATFORM: 'Have the node deliver the collateral of its own platform.',
  ATTESTATION_QUOTING_ENCLAVE: 'Have the node update its quoting enclave and its collateral.',
  ATTESTATION_TDX_MODULE: 'Have the node load a TDX module that its maker released.',
  ATTESTATION_TCB_STATUS: 'Have the node update its platform, or accept this status knowingly.',
  ATTESTATION_DEBUG: 'Have the node start its trust domain without debugging.',
  ATTESTATION_ATTRIBUTES: 'Have the node start its trust domain with the usual attributes.',
  ATTESTATION_MEASUREMENTS: 'Compare the measurements with a build of your own before you pin them.',
  ATTESTATION_REPORT_DATA: 'Have the node take a quote for its current keys.',
  ATTESTATION_REFUSED: 'Do not use this node.',
  ATTESTATION_COMMAND: 'Run the command by hand with 128 hex digits as its last argument.',
}

/**
 * An attestation that is refused. What it holds is public: a quote is shown to everybody who asks for the node.
 *
 * A refusal is not retryable by itself: the same bytes are refused again.
 */
export class AttestationError extends RialtoError {
  override readonly name = 'AttestationError'
  declare readonly code: AttestationErrorCode
  constructor(code: AttestationErrorCode, message: string, parameters: RialtoErrorParameters = {}) {
    super(code, message, { fix: fixes[code], ...parameters })
  }
}
