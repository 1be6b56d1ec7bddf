import { type AuthDataV4, Quote, type TDReport10 } from '@phala/dcap-qvl'
import { equalBytes, isZero } from '../binary/bytes.ts'
import { AttestationError } from './errors.ts'
import type { Measurements } from './schema.ts'

/** What a TDX quote says. Nothing of it is verified by reading it. */
export type TdxQuote = {
  readonly version: 4 | 5
  readonly measurements: Measurements
  /** 64 bytes. */
  readonly reportData: Uint8Array
  /** 8 bytes: TDATTRIBUTES (Intel TDX Module Base Architecture Specification). */
  readonly attributes: Uint8Array
  /** What the TDX module says of itself. */
  readonly module: {
    /** Security versions, 16 bytes; the first is the module's minor, the second its major version. */
    readonly svn: Uint8Array
    /** 48 bytes; zeros for Intel's own. */
    readonly signer: Uint8Array
    /** 8 bytes. */
    readonly attributes: Uint8Array
  }
  /** PEM: the certificates of the platform, up to a root. */
  readonly certificates: string
}

/** "ECDSA-256-with-P-256 curve" (Intel TDX DCAP Quoting Library API, A.3.1). */
const ecdsaP256 = 2
const teeTdx = 0x81
/** How the certification data inside a quote is given (A.3.11): the report of the quoting enclave, and a PEM chain. */
const qeReportCertificationData = 6
const pckCertificateChain = 5
/** QE authentication data as Intel's quoting enclave gives it; the library reads no more of it. */
const qeAuthDataLength = 32

/**
 * Takes a TDX quote of version 4 or 5 apart (Intel TDX DCAP Quoting Library API, appendix A.3 and A.4), and refuses
 * what the parser would pass over: bytes that no length accounts for, other than the zeros that some quoting
 * libraries leave behind a quote.
 *
 * @throws AttestationError `ATTESTATION_NOT_TDX`
 */
export function readTdxQuote(bytes: Uint8Array): TdxQuote {
  const quote = parse(bytes)
  const { version, teeType, attestationKeyType } = quote.header
  const report = quote.report.asTd10()
  if (teeType !== teeTdx || report === null || (version !== 4 && version !== 5))
    throw new AttestationError('ATTESTATION_NOT_TDX', 'The quote is not a TDX quote of version 4 or 5.', {
      details: { version, teeType },
    })
  if (attestationKeyType !== ecdsaP256)
    throw new AttestationError('ATTESTATION_NOT_TDX', 'The quote is not signed with ECDSA over P-256.', {
      details: { attestationKeyType },
    })
  const { certificationData, qeReportData } = quote.authData.data as AuthDataV4
  const inner = qeReportData.certificationData
  if (certificationData.certType !== qeReportCertificationData || inner.certType !== pckCertificateChain)
    throw new AttestationError('ATTESTATION_NOT_TDX', 'The quote does not carry its certificate chain.', {
      details: { certificationData: certificationData.certType, inner: inner.certType },
    })
  // Signature 64, attestation key 64, type and length 6; QE report 384, its signature 64, a length 2, type and length 6.
  const innerLength = 384 + 64 + 2 + qeReportData.qeAuthData.length + 6 + inner.body.length
  const authLength = 64 + 64 + 6 + innerLength
  const signedLength = quote.signedLength()
  if (
    qeReportData.qeAuthData.length !== qeAuthDataLength ||
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(signedLength, true) !== authLength ||
    !isZero(bytes.subarray(signedLength + 4 + authLength))
  )
    throw new AttestationError('ATTESTATION_NOT_TDX', 'The quote has bytes that belong to no part of it.')
  return describe(version, report, inner.body)
}

function parse(bytes: Uint8Array): Quote {
  try {
    return Quote.parse(bytes)
  } catch (cause) {
    throw new AttestationError('ATTESTATION_NOT_TDX', 'The quote cannot be read.', { cause })
  }
}

const describe = (version: 4 | 5, report: TDReport10, certificates: Uint8Array): TdxQuote => ({
  version,
  measurements: {
    mrTd: hexOf(report.mrTd),
    rtMr0: hexOf(report.rtMr0),
    rtMr1: hexOf(report.rtMr1),
    rtMr2: hexOf(report.rtMr2),
    rtMr3: hexOf(report.rtMr3),
  },
  reportData: report.reportData,
  attributes: report.tdAttributes,
  module: { svn: report.teeTcbSvn, signer: report.mrSignerSeam, attributes: report.seamAttributes },
  certificates: Buffer.from(certificates).toString('latin1'),
})

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Whether a quote was made for this report data. */
export const quotes = (quote: TdxQuote, reportData: Uint8Array): boolean =>
  equalBytes(quote.reportData, reportData)
