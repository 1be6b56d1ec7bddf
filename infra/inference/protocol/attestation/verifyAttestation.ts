import { createHash } from 'node:crypto'
import { constants, isBrowser, QuoteVerifier, type VerifiedReport } from '@phala/dcap-qvl'
import { equalBytes } from '../binary/bytes.ts'
import { type Certificate, readCertificate, readingAs, readPemChain } from './certificates.ts'
import { verifyCollateral } from './collateral.ts'
import { AttestationError, type AttestationErrorCode } from './errors.ts'
import { reportDataFor } from './reportData.ts'
import {
  type AcceptableTcbStatus,
  acceptableTcbStatuses,
  type Collateral,
  type Measurements,
  parseAttestation,
} from './schema.ts'
import { judgeTdxModule, mergeTdxModule } from './tdxModule.ts'
import { quotes, readTdxQuote, type TdxQuote } from './tdxQuote.ts'

/** What a client trusts, decided before it looks at any node. */
export type PinnedTrust = {
  /** Root certificates in DER. Without them Intel's SGX Root CA, which TDX platforms descend from. */
  readonly roots?: readonly Uint8Array[]
  /** What may run in the trust domain. Every register must be that of one and the same entry. */
  readonly measurements: readonly Measurements[]
  /** Security levels of platforms, `UpToDate` alone if not given. */
  readonly acceptedTcbStatuses?: readonly AcceptableTcbStatus[]
}

/** What to verify. */
export type AttestationParameters = {
  /** The JSON form, as the node published it; it is parsed here. */
  readonly attestation: unknown
  /** The node's Ed25519 public key, 32 bytes. */
  readonly identity: Uint8Array
  /** The node's keys as `application/ohttp-keys`, byte for byte as it published them. */
  readonly keyConfigs: Uint8Array
  readonly pinned: PinnedTrust
  /** Milliseconds since 1970. */
  readonly now: number
}

/** What an attestation proves. */
export type VerifiedAttestation = {
  readonly quoteVersion: 4 | 5
  readonly measurements: Measurements
  readonly tcbStatus: AcceptableTcbStatus
  /** Intel's advisories that concern the platform, such as `INTEL-SA-00837`. */
  readonly advisoryIds: readonly string[]
  /** Until when this holds, in milliseconds since 1970: then the first part of the collateral expires. */
  readonly validUntil: number
}

/** SHA-256 of Intel's SGX Root CA in DER, so that no update of a dependency changes whom we trust. */
const intelRootSha256 = '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3'

/**
 * Verifies that a node's identity and keys are bound to measured code in a genuine TDX trust domain.
 *
 * It reads no network and no clock. The certificates, revocation lists and collateral are verified here; the
 * signatures inside the quote, the quoting enclave and the platform's level by `@phala/dcap-qvl`, which is handed
 * nothing that is not signed but the quote. Anything unknown is a refusal.
 *
 * @throws AttestationError with the code of the first thing that does not hold; see {@link AttestationErrorCode}
 * @throws UnencodableMessageError when the identity is not 32 bytes long or there are no keys
 * @throws MalformedMessageError when a pinned root is no certificate
 * @example
 * const { tcbStatus, validUntil } = verifyAttestation({
 *   attestation: description.attestation, identity: identity.bytes, keyConfigs: keys,
 *   pinned: { measurements: [{ mrTd: '…', rtMr0: '…', rtMr1: '…', rtMr2: '…', rtMr3: '…' }] },
 *   now: Date.now(),
 * })
 * tcbStatus // 'UpToDate'
 */
export function verifyAttestation({
  attestation,
  identity,
  keyConfigs,
  pinned,
  now,
}: AttestationParameters): VerifiedAttestation {
  const reportData = reportDataFor({ identity, keyConfigs })
  const { quote: base64, collateral } = parseAttestation(attestation)
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'))
  const quote = readTdxQuote(bytes)
  const root = rootOf(quote, pinned.roots ?? [intelRoot()])
  const { tcbInfo, validUntil } = verifyCollateral({
    collateral,
    certificates: quote.certificates,
    root,
    now,
  })
  const report = verifyQuote({ bytes, quote, collateral, root, now })
  const judged = mergeTdxModule(
    { status: report.status, advisoryIds: report.advisory_ids },
    judgeTdxModule(tcbInfo, quote),
  )
  const accepted: readonly AcceptableTcbStatus[] = pinned.acceptedTcbStatuses ?? ['UpToDate']
  const tcbStatus = acceptableTcbStatuses.find(
    (status) => status === judged.status && accepted.includes(status),
  )
  if (tcbStatus === undefined)
    throw new AttestationError('ATTESTATION_TCB_STATUS', `The platform is ${judged.status}.`, {
      details: { ...judged, accepted },
    })
  if (!pinned.measurements.some((candidate) => isSame(candidate, quote.measurements)))
    throw new AttestationError('ATTESTATION_MEASUREMENTS', 'What the node runs is not pinned.', {
      details: { measurements: quote.measurements },
    })
  if (!quotes(quote, reportData))
    throw new AttestationError('ATTESTATION_REPORT_DATA', 'The quote is for another identity or other keys.')
  return {
    quoteVersion: quote.version,
    measurements: quote.measurements,
    tcbStatus,
    advisoryIds: judged.advisoryIds,
    validUntil,
  }
}

const registers = ['mrTd', 'rtMr0', 'rtMr1', 'rtMr2', 'rtMr3'] as const

const isSame = (left: Measurements, right: Measurements): boolean =>
  registers.every((register) => left[register].toLowerCase() === right[register])

function intelRoot(): Uint8Array {
  const root = new Uint8Array(constants.TRUSTED_ROOT_CA_DER)
  if (createHash('sha256').update(root).digest('hex') !== intelRootSha256)
    throw new AttestationError(
      'ATTESTATION_REFUSED',
      'The library no longer holds the root that is pinned.',
      {
        fix: 'Install the dependencies anew; if it stays so, pin roots of your own.',
      },
    )
  return root
}

/** The pinned root that the platform names. Whether it descends from it is checked later. */
function rootOf({ certificates }: TdxQuote, roots: readonly Uint8Array[]): Certificate {
  const chain = readingAs('ATTESTATION_CHAIN', 'The certificate chain of the platform', () =>
    readPemChain(certificates),
  )
  const named = chain.at(-1)?.der
  const root = roots.find((candidate) => named !== undefined && equalBytes(candidate, named))
  if (root === undefined)
    throw new AttestationError('ATTESTATION_CHAIN', 'The platform does not descend from a pinned root.')
  return readCertificate(root)
}

function verifyQuote({
  bytes,
  quote,
  collateral,
  root,
  now,
}: {
  readonly bytes: Uint8Array
  readonly quote: TdxQuote
  readonly collateral: Collateral
  readonly root: Certificate
  readonly now: number
}): VerifiedReport {
  // With a global `window` the library takes itself to be in a browser and computes in JavaScript instead of OpenSSL.
  if (isBrowser)
    throw new AttestationError(
      'ATTESTATION_REFUSED',
      'The library does not use the cryptography of Node here.',
      {
        fix: 'Verify attestation where there is no global `window`.',
      },
    )
  const { pck_certificate_chain: _, ...rest } = collateral
  try {
    return QuoteVerifier.newWithRootCa(Buffer.from(root.der)).verify(bytes, rest, Math.floor(now / 1000))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    // One message of the library for two things: our domain, and the quoting enclave.
    const isDebug = message === 'Debug mode is enabled' && quote.attributes[0] !== 0
    const [, code, line] = isDebug
      ? debugRefusal
      : (refusals.find(([pattern]) => pattern.test(message)) ?? otherRefusal)
    throw new AttestationError(code, line, { cause })
  }
}

type Refusal = readonly [message: RegExp, code: AttestationErrorCode, line: string]

const debugRefusal: Refusal = [/./, 'ATTESTATION_DEBUG', 'The trust domain can be debugged by its host.']
const otherRefusal: Refusal = [/./, 'ATTESTATION_REFUSED', 'The verification library refuses the quote.']

/** What the library says, in its exact version that is installed; what is not listed is refused all the same. */
const refusals: readonly Refusal[] = [
  [
    /^Signature is invalid for qe_report|^QE report hash mismatch|^ISV enclave report signature/,
    'ATTESTATION_SIGNATURE',
    'A signature inside the quote does not hold.',
  ],
  [
    /^QE (MRSIGNER|ISVPRODID|MISCSELECT|ATTRIBUTES|ISVSVN)|^Unsupported QE Identity|in QE Identity$|^Debug mode/,
    'ATTESTATION_QUOTING_ENCLAVE',
    'The quote was signed by another quoting enclave than the collateral names.',
  ],
  [
    /^No matching TCB level found|^TCB status is invalid/,
    'ATTESTATION_TCB_STATUS',
    'The platform is at a security level that is revoked or unknown.',
  ],
  [
    /^Reserved bits in TD attributes|^SEPT_VE_DISABLE|^Invalid mr service td/,
    'ATTESTATION_ATTRIBUTES',
    'The trust domain runs with attributes that weaken it.',
  ],
]
