import { type KeyObject, X509Certificate } from 'node:crypto'
import { equalBytes } from '../binary/bytes.ts'
import { MalformedMessageError } from '../errors.ts'
import {
  type DerElement,
  derTags,
  isSignedBy,
  readInside,
  readSequence,
  readSigned,
  readTime,
} from './der.ts'
import { AttestationError } from './errors.ts'

/** A certificate, with what is asked of it here. */
export type Certificate = {
  readonly der: Uint8Array
  readonly x509: X509Certificate
  readonly publicKey: KeyObject
  /** The body of its serial number, as DER has it. */
  readonly serialNumber: Uint8Array
  /** Its subject's name, as DER has it. */
  readonly subject: Uint8Array
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** The bodies of its extensions, by the hex of their object identifiers. */
  readonly extensions: ReadonlyMap<string, Uint8Array>
}

/**
 * Takes the fields of a certificate that matter here.
 *
 *     TBSCertificate ::= SEQUENCE {
 *       version         [0]  EXPLICIT Version DEFAULT v1,
 *       serialNumber         CertificateSerialNumber,
 *       signature            AlgorithmIdentifier,
 *       issuer               Name,
 *       validity             Validity,
 *       subject              Name,
 *       subjectPublicKeyInfo SubjectPublicKeyInfo,
 *       issuerUniqueID  [1]  IMPLICIT UniqueIdentifier OPTIONAL,
 *       subjectUniqueID [2]  IMPLICIT UniqueIdentifier OPTIONAL,
 *       extensions      [3]  EXPLICIT Extensions OPTIONAL }
 *
 * (RFC 5280, section 4.1; only version 3 is read)
 *
 * @throws MalformedMessageError
 */
export function readCertificate(der: Uint8Array): Certificate {
  const { fields } = readSigned(der)
  const [version, serialNumber, , , validity, subject, , ...rest] = fields
  const [notBefore, notAfter] = readInside(validity, derTags.sequence)
  if (version?.tag !== 0xa0 || serialNumber?.tag !== derTags.integer || subject === undefined)
    throw new MalformedMessageError('is no certificate of version 3')
  if (notBefore === undefined || notAfter === undefined)
    throw new MalformedMessageError('is a certificate without a validity')
  const x509 = openX509(der)
  return {
    der,
    x509,
    publicKey: x509.publicKey,
    serialNumber: serialNumber.body,
    subject: subject.whole,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    extensions: readExtensions(rest.find(({ tag }) => tag === 0xa3)),
  }
}

function openX509(der: Uint8Array): X509Certificate {
  try {
    const x509 = new X509Certificate(der)
    // Decoded on first use: a key that is none must fail here, not later.
    void x509.publicKey
    return x509
  } catch {
    throw new MalformedMessageError('is no certificate that can be read')
  }
}

function readExtensions(wrapper: DerElement | undefined): Map<string, Uint8Array> {
  const extensions = new Map<string, Uint8Array>()
  if (wrapper === undefined) return extensions
  for (const extension of readInside(readInside(wrapper, 0xa3)[0], derTags.sequence)) {
    const parts = readInside(extension, derTags.sequence)
    const [id, value] = [parts[0], parts.at(-1)]
    if (id?.tag !== derTags.objectIdentifier || value?.tag !== derTags.octetString)
      throw new MalformedMessageError('has an extension that is none')
    const name = Buffer.from(id.body).toString('hex')
    if (extensions.has(name)) throw new MalformedMessageError('has an extension twice')
    extensions.set(name, value.body)
  }
  return extensions
}

const pemBlock = /-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE-----/g

/**
 * Reads certificates in PEM (RFC 7468, section 5), with nothing else around them than line ends and, as quotes have
 * it, zero bytes at the end.
 *
 * @throws MalformedMessageError
 */
export function readPemChain(text: string): Certificate[] {
  const plain = text.replaceAll('\r\n', '\n').replace(/[\n\0]*$/, '')
  const ders = [...plain.matchAll(pemBlock)].map(([, base64 = '']) => Buffer.from(base64, 'base64'))
  // Written down again it must be the same: then it has one reading only, whoever reads it next.
  if (ders.map(toPem).join('\n') !== plain)
    throw new MalformedMessageError('is no chain of certificates in PEM')
  return ders.map((der) => readCertificate(new Uint8Array(der)))
}

/** A certificate in PEM, without a line end behind it. */
const toPem = (der: Buffer): string => {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n')
}

/** What is asked of a chain. */
export type ChainRequirements = {
  /** Whose chain it is, for errors. */
  readonly what: string
  /** The pinned root, which the chain must end in. */
  readonly root: Certificate
  /** How many certificates there are, the root included. */
  readonly length: number
  /** Whether the first one is a CA itself. */
  readonly leafIsCa?: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Checks that each certificate was issued by the next, by a CA that may issue it, and that the last is the pinned
 * root (RFC 5280, section 6.1, for chains of a known shape).
 *
 * The lengths are fixed because they are all that tells who may sign what: in Intel's hierarchy what signs collateral
 * is issued by the root itself, and what speaks for one platform by a CA below it. The verification library asks
 * for neither, nor whether an issuer is a CA at all.
 *
 * @returns the chain
 * @throws AttestationError `ATTESTATION_CHAIN`, `ATTESTATION_COLLATERAL_EXPIRED`
 */
export function verifyChain(
  pem: string,
  { what, root, length, leafIsCa = false, now }: ChainRequirements,
): readonly Certificate[] {
  const chain = readingAs('ATTESTATION_CHAIN', `The certificate chain of ${what}`, () => readPemChain(pem))
  const last = chain.at(-1)
  if (last === undefined || !equalBytes(last.der, root.der))
    throw new AttestationError(
      'ATTESTATION_CHAIN',
      `The certificates of ${what} do not end in a pinned root.`,
    )
  if (chain.length !== length)
    throw new AttestationError(
      'ATTESTATION_CHAIN',
      `There are ${chain.length} certificates of ${what} instead of ${length}.`,
    )
  chain.forEach((certificate, index) => {
    const issuer = chain[index + 1] ?? root
    const isCa = index > 0 || leafIsCa
    if (certificate.x509.ca !== isCa || !isIssuedBy(certificate, issuer))
      throw new AttestationError('ATTESTATION_CHAIN', `The certificates of ${what} do not issue one another.`)
    requireValidity(what, certificate, now)
  })
  return chain
}

/** `checkIssued` compares names and key identifiers, and asks whether the issuer may sign certificates. */
const isIssuedBy = (certificate: Certificate, issuer: Certificate): boolean =>
  certificate.x509.checkIssued(issuer.x509) && isSignedBy(readSigned(certificate.der), issuer.publicKey)

/** @throws AttestationError `ATTESTATION_COLLATERAL_EXPIRED` when `now` is outside */
export function requireValidity(
  what: string,
  { notBefore, notAfter }: { readonly notBefore: number; readonly notAfter: number },
  now: number,
): void {
  if (now >= notBefore && now <= notAfter) return
  const details = {
    notBefore: new Date(notBefore).toISOString(),
    notAfter: new Date(notAfter).toISOString(),
    now: new Date(now).toISOString(),
  }
  const problem = now < notBefore ? 'is not valid yet' : 'has expired'
  throw new AttestationError('ATTESTATION_COLLATERAL_EXPIRED', `What belongs to ${what} ${problem}.`, {
    details,
  })
}

/** Runs a reader, and says what could not be read. */
export function readingAs<Result>(
  code: 'ATTESTATION_CHAIN' | 'ATTESTATION_COLLATERAL_SIGNATURE' | 'ATTESTATION_PLATFORM',
  what: string,
  read: () => Result,
): Result {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof MalformedMessageError)
      throw new AttestationError(code, `${what} cannot be read.`, { cause })
    throw cause
  }
}

/** 1.2.840.113741.1.13.1, the extension of a platform's certificate, with the members below it (Intel SGX PCK Certificate and CRL Profile, section 1.3.5). */
const sgxExtension = '2a864886f84d010d01'
const members = { pceId: `${sgxExtension}03`, fmspc: `${sgxExtension}04` } as const

/**
 * Which platform a certificate is for.
 *
 * @returns in lower-case hex: FMSPC, 6 bytes, names the family, model and stepping that collateral is made for; PCEID,
 *   2 bytes, the version of the enclave that certifies
 * @throws MalformedMessageError
 */
export function readPlatform({ extensions }: Certificate): {
  readonly fmspc: string
  readonly pceId: string
} {
  const extension = extensions.get(sgxExtension)
  if (extension === undefined) throw new MalformedMessageError('is no certificate of an SGX platform')
  const values = new Map<string, string>()
  for (const member of readSequence(extension)) {
    const [id, value] = readInside(member, derTags.sequence)
    if (id === undefined || value === undefined) throw new MalformedMessageError('has a bad SGX extension')
    const name = Buffer.from(id.body).toString('hex')
    if (values.has(name)) throw new MalformedMessageError('has a bad SGX extension')
    if (value.tag === derTags.octetString) values.set(name, Buffer.from(value.body).toString('hex'))
  }
  const [fmspc = '', pceId = ''] = [values.get(members.fmspc), values.get(members.pceId)]
  if (fmspc.length !== 12 || pceId.length !== 4) throw new MalformedMessageError('has a bad SGX extension')
  return { fmspc, pceId }
}
