import { equalBytes } from '../binary/bytes.ts'
import { MalformedMessageError } from '../errors.ts'
import { type Certificate, readingAs, requireValidity } from './certificates.ts'
import { type DerElement, derTags, isSignedBy, readInside, readSigned, readTime } from './der.ts'
import { AttestationError } from './errors.ts'

/** A list of certificates that their issuer took back. */
export type RevocationList = {
  /** The name of who issued it, as DER has it. */
  readonly issuer: Uint8Array
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** Serial numbers, in the hex of their DER. */
  readonly revoked: ReadonlySet<string>
}

/**
 * Takes the fields of a revocation list.
 *
 *     TBSCertList ::= SEQUENCE {
 *       version              Version OPTIONAL, -- if present, MUST be v2
 *       signature            AlgorithmIdentifier,
 *       issuer               Name,
 *       thisUpdate           Time,
 *       nextUpdate           Time OPTIONAL,
 *       revokedCertificates  SEQUENCE OF SEQUENCE {
 *         userCertificate      CertificateSerialNumber,
 *         revocationDate       Time,
 *         crlEntryExtensions   Extensions OPTIONAL } OPTIONAL,
 *       crlExtensions   [0]  EXPLICIT Extensions OPTIONAL }
 *
 * (RFC 5280, section 5.1; only version 2 with a `nextUpdate` is read)
 *
 * @throws MalformedMessageError
 */
export function readRevocationList(der: Uint8Array): RevocationList {
  const { fields } = readSigned(der)
  const [version, , issuer, thisUpdate, nextUpdate, ...rest] = fields
  if (version?.tag !== derTags.integer || version.body.length !== 1 || version.body[0] !== 1)
    throw new MalformedMessageError('is no revocation list of version 2')
  if (issuer === undefined || thisUpdate === undefined || nextUpdate === undefined)
    throw new MalformedMessageError('is a revocation list without an end')
  const entries = rest[0]?.tag === derTags.sequence ? rest.shift() : undefined
  const extensions = rest.shift()
  if (rest.length > 0 || (extensions !== undefined && extensions.tag !== 0xa0))
    throw new MalformedMessageError('is no revocation list')
  if (extensions !== undefined) refuseCritical(readInside(extensions, 0xa0)[0])
  const revoked = new Set<string>()
  for (const entry of entries === undefined ? [] : readInside(entries, derTags.sequence)) {
    const [serialNumber, , entryExtensions] = readInside(entry, derTags.sequence)
    if (serialNumber?.tag !== derTags.integer) throw new MalformedMessageError('is no revocation list')
    if (entryExtensions !== undefined) refuseCritical(entryExtensions)
    revoked.add(serialOf(serialNumber.body))
  }
  return {
    issuer: issuer.whole,
    notBefore: readTime(thisUpdate),
    notAfter: readTime(nextUpdate),
    revoked,
  }
}

/** A list whose critical extensions are not understood must not be used (RFC 5280, section 5.2). None is here. */
function refuseCritical(extensions: DerElement | undefined): void {
  for (const extension of readInside(extensions, derTags.sequence))
    if (readInside(extension, derTags.sequence)[1]?.tag === derTags.boolean)
      throw new MalformedMessageError('is a revocation list with a critical extension')
}

const serialOf = (body: Uint8Array): string => Buffer.from(body).toString('hex')

/**
 * Checks that a revocation list is its issuer's own and current. The verification library does neither: it takes
 * any list, skips what it cannot read, and so a node could hide that its platform was revoked.
 *
 * @param parameters.what whose list it is, for errors
 * @param parameters.hex DER in hex
 * @param parameters.issuer the CA, verified
 * @param parameters.now milliseconds since 1970
 * @throws AttestationError `ATTESTATION_COLLATERAL_SIGNATURE`, `ATTESTATION_COLLATERAL_EXPIRED`
 */
export function verifyRevocationList({
  what,
  hex,
  issuer,
  now,
}: {
  readonly what: string
  readonly hex: string
  readonly issuer: Certificate
  readonly now: number
}): RevocationList {
  const der = new Uint8Array(Buffer.from(hex, 'hex'))
  const list = readingAs('ATTESTATION_COLLATERAL_SIGNATURE', `The revocation list of ${what}`, () =>
    readRevocationList(der),
  )
  if (!equalBytes(list.issuer, issuer.subject) || !isSignedBy(readSigned(der), issuer.publicKey))
    throw new AttestationError(
      'ATTESTATION_COLLATERAL_SIGNATURE',
      `The revocation list of ${what} is not signed by ${what}.`,
    )
  requireValidity(`the revocation list of ${what}`, list, now)
  return list
}

/**
 * Refuses a certificate that its issuer took back.
 *
 * @param what whose certificate it is, for the error
 * @param list of the certificate's issuer
 * @throws AttestationError `ATTESTATION_REVOKED`
 */
export function requireUnrevoked(what: string, certificate: Certificate, list: RevocationList): void {
  if (list.revoked.has(serialOf(certificate.serialNumber)))
    throw new AttestationError('ATTESTATION_REVOKED', `The certificate of ${what} was revoked.`)
}
