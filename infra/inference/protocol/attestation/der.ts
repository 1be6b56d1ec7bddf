import { type KeyObject, verify } from 'node:crypto'
import { equalBytes } from '../binary/bytes.ts'
import { MalformedMessageError } from '../errors.ts'

/** Tags of X.690, section 8, as they are used in certificates and revocation lists. */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** One value of DER. */
export type DerElement = {
  readonly tag: number
  readonly body: Uint8Array
  /** Tag, length and body. */
  readonly whole: Uint8Array
}

/**
 * Reads the values that follow one another, up to the end. Only what DER allows: definite lengths in their shortest
 * form (X.690, section 10.1), and tags of one byte, since certificates have no others.
 *
 * @throws MalformedMessageError
 */
export function readElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = []
  for (let at = 0; at < bytes.length; ) {
    const start = at
    const tag = byteAt(bytes, at++)
    if ((tag & 0x1f) === 0x1f) throw new MalformedMessageError('has a DER tag of several bytes')
    let length = byteAt(bytes, at++)
    if (length >= 0x80) {
      const count = length & 0x7f
      // Three bytes count to 16 MiB, far above everything that is read here.
      if (count === 0 || count > 3) throw new MalformedMessageError('has a DER length out of range')
      length = 0
      for (let index = 0; index < count; index++) length = length * 256 + byteAt(bytes, at++)
      if (length < (count === 1 ? 0x80 : 256 ** (count - 1)))
        throw new MalformedMessageError('has a DER length that is not in its shortest form')
    }
    if (length > bytes.length - at) throw new MalformedMessageError('ends inside a DER value')
    elements.push({ tag, body: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) })
    at += length
  }
  return elements
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new MalformedMessageError('ends inside a DER value')
  return byte
}

/** The values inside one, which must have that tag. @throws MalformedMessageError */
export function readInside(element: DerElement | undefined, tag: number): DerElement[] {
  if (element?.tag !== tag) throw new MalformedMessageError('has another DER value than is due')
  return readElements(element.body)
}

/** Reads a sequence that is all there is. @throws MalformedMessageError */
export function readSequence(bytes: Uint8Array): DerElement[] {
  const elements = readElements(bytes)
  if (elements.length !== 1) throw new MalformedMessageError('is not one DER value')
  return readInside(elements[0], derTags.sequence)
}

/**
 * A time as certificates give it: `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on (RFC 5280, section
 * 4.1.2.5).
 *
 * @returns milliseconds since 1970
 * @throws MalformedMessageError
 */
export function readTime({ tag, body }: DerElement): number {
  const text = Buffer.from(body).toString('latin1')
  const isShort = tag === derTags.utcTime
  const match = (isShort ? /^(\d\d)((?:\d\d){5})Z$/ : /^(\d{4})((?:\d\d){5})Z$/).exec(text)
  if ((!isShort && tag !== derTags.generalizedTime) || match === null)
    throw new MalformedMessageError('has a time that is none')
  const [, given = '', rest = ''] = match
  const year = isShort ? `${Number(given) < 50 ? '20' : '19'}${given}` : given
  const iso = `${year}-${rest.replace(/^(..)(..)(..)(..)(..)$/, '$1-$2T$3:$4:$5')}.000Z`
  const time = Date.parse(iso)
  // Dates such as the 30th of February are rolled over by some, and refused by others.
  if (Number.isNaN(time) || new Date(time).toISOString() !== iso)
    throw new MalformedMessageError('has a time that is none')
  return time
}

/** What X.509 signs: certificates and revocation lists alike. */
export type SignedDer = {
  /** What the signature covers. */
  readonly toBeSigned: Uint8Array
  /** The values inside it. */
  readonly fields: readonly DerElement[]
  readonly signature: Uint8Array
}

/** AlgorithmIdentifier of ecdsa-with-SHA256, 1.2.840.10045.4.3.2 without parameters (RFC 5758, section 3.2). */
const ecdsaWithSha256 = Uint8Array.from([48, 10, 6, 8, 42, 134, 72, 206, 61, 4, 3, 2])

/**
 * Takes the envelope apart that certificates and revocation lists share.
 *
 *     SIGNED{ToBeSigned} ::= SEQUENCE {
 *       toBeSigned           ToBeSigned,
 *       algorithmIdentifier  AlgorithmIdentifier,
 *       signature            BIT STRING }
 *
 * (RFC 5280, sections 4.1 and 5.1). The envelope is not covered by the signature, so it is read strictly: two
 * different ones never hold the same content.
 *
 * @throws MalformedMessageError
 */
export function readSigned(der: Uint8Array): SignedDer {
  const [toBeSigned, algorithm, signature, ...rest] = readSequence(der)
  if (algorithm === undefined || !equalBytes(algorithm.whole, ecdsaWithSha256) || rest.length > 0)
    throw new MalformedMessageError('is not signed with ECDSA and SHA-256')
  if (toBeSigned === undefined || signature?.tag !== derTags.bitString || signature.body[0] !== 0)
    throw new MalformedMessageError('has no signature')
  const bytes = signature.body.subarray(1)
  for (const number of readSequence(bytes)) requirePositiveInteger(number)
  return {
    toBeSigned: toBeSigned.whole,
    fields: readInside(toBeSigned, derTags.sequence),
    signature: bytes,
  }
}

function requirePositiveInteger({ tag, body: [first = 0x80, second = 0x80] }: DerElement): void {
  // A zero in front is there to keep the sign, and for nothing else (X.690, section 8.3.2).
  if (tag !== derTags.integer || first >= 0x80 || (first === 0 && second < 0x80))
    throw new MalformedMessageError('has a signature that is none')
}

/** Whether that key made the signature. Keys other than of P-256 make none. */
export const isSignedBy = ({ toBeSigned, signature }: SignedDer, key: KeyObject): boolean =>
  isP256(key) && verify('sha256', toBeSigned, { key, dsaEncoding: 'der' }, signature)

/** Whether that key signed these bytes, with r and s of 32 bytes each (IEEE P1363), as quotes and collateral have it. */
export const isSignedRawBy = (bytes: Uint8Array, signature: Uint8Array, key: KeyObject): boolean =>
  isP256(key) && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)

const isP256 = (key: KeyObject): boolean =>
  key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
