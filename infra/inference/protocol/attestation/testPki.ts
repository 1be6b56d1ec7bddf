import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/*
 * A small writer of DER and X.509 for tests, with a hierarchy of the shape of Intel's: a root; below it what signs
 * collateral, and a CA for platforms; below that a platform's certificate with the SGX extension.
 */

const bytesOf = (parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts)

/** One value of DER. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = bytesOf(parts)
  const length: number[] = []
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256)
  const header = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 | length.length, ...length]
  return bytesOf([Uint8Array.from(header), body])
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts)
export const octets = (...parts: readonly Uint8Array[]): Buffer => tlv(0x04, ...parts)
export const integer = (value: number): Buffer => tlv(0x02, Uint8Array.of(value))

/** An object identifier (X.690, section 8.19). */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const arcs = [first * 40 + second, ...rest].map((arc) => {
    const digits = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift(0x80 | (left % 128))
    return Uint8Array.from(digits)
  })
  return tlv(0x06, ...arcs)
}

/** A time: UTCTime up to 2049, GeneralizedTime from then on. */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/\.\d+Z$|[-:T]/g, '')
  return digits < '2050'
    ? tlv(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : tlv(0x18, Buffer.from(`${digits}Z`))
}

const commonName = (text: string): Buffer =>
  sequence(tlv(0x31, sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from(text)))))

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))

/** Signs what is to be signed, and wraps it as X.509 does. */
export const signDer = (toBeSigned: Uint8Array, key: KeyObject): Buffer =>
  sequence(
    toBeSigned,
    ecdsaWithSha256,
    tlv(0x03, Uint8Array.of(0), sign('sha256', toBeSigned, { key, dsaEncoding: 'der' })),
  )

/** Who issues: a certificate with its private key. */
export type TestCertificate = {
  readonly name: string
  readonly der: Uint8Array
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly serial: number
}

export type CertificateOptions = {
  readonly name: string
  readonly serial: number
  /** Nobody: it signs itself. */
  readonly issuer?: TestCertificate
  readonly isCa: boolean
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** More extensions, as DER. */
  readonly extensions?: readonly Uint8Array[]
  /** Signs in the issuer's place: a forgery. */
  readonly signingKey?: KeyObject
}

export const extension = (id: string, value: Uint8Array, isCritical = false): Buffer =>
  sequence(oid(id), ...(isCritical ? [tlv(0x01, Uint8Array.of(0xff))] : []), octets(value))

/** Issues a certificate of version 3 for a new key over P-256. */
export function issue(options: CertificateOptions): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const keyUsage = options.isCa ? Uint8Array.of(1, 0x06) : Uint8Array.of(7, 0x80)
  const constraints = options.isCa ? sequence(tlv(0x01, Uint8Array.of(0xff))) : sequence()
  const toBeSigned = sequence(
    tlv(0xa0, integer(2)),
    integer(options.serial),
    ecdsaWithSha256,
    commonName(options.issuer?.name ?? options.name),
    sequence(time(options.notBefore), time(options.notAfter)),
    commonName(options.name),
    publicKey.export({ format: 'der', type: 'spki' }),
    tlv(
      0xa3,
      sequence(
        extension('2.5.29.19', constraints, true),
        extension('2.5.29.15', tlv(0x03, keyUsage), true),
        ...(options.extensions ?? []),
      ),
    ),
  )
  const signingKey = options.signingKey ?? options.issuer?.privateKey ?? privateKey
  return {
    name: options.name,
    serial: options.serial,
    der: new Uint8Array(signDer(toBeSigned, signingKey)),
    publicKey,
    privateKey,
  }
}

export type RevocationListOptions = {
  readonly issuer: TestCertificate
  readonly serials?: readonly number[]
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions?: readonly Uint8Array[]
  /** Of each entry. */
  readonly entryExtensions?: readonly Uint8Array[]
  readonly signingKey?: KeyObject
}

/** Issues a revocation list of version 2, as DER. */
export function issueRevocationList(options: RevocationListOptions): Buffer {
  const { issuer, serials = [], notBefore, notAfter, entryExtensions } = options
  const more = entryExtensions === undefined ? [] : [sequence(...entryExtensions)]
  const entries = serials.map((serial) => sequence(integer(serial), time(notBefore), ...more))
  const number = extension('2.5.29.20', integer(1))
  const toBeSigned = sequence(
    integer(1),
    ecdsaWithSha256,
    commonName(issuer.name),
    time(notBefore),
    time(notAfter),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    tlv(0xa0, sequence(number, ...(options.extensions ?? []))),
  )
  return signDer(toBeSigned, options.signingKey ?? issuer.privateKey)
}

/** A chain in PEM, as quotes and collateral have it. */
export const pemChain = (...certificates: readonly TestCertificate[]): string =>
  certificates
    .map(({ der }) => {
      const lines =
        Buffer.from(der)
          .toString('base64')
          .match(/.{1,64}/g) ?? []
      return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
    })
    .join('')

/** What a platform is, as its certificate says. */
export type TestPlatform = {
  /** 6 bytes in hex. */
  readonly fmspc: string
  /** 2 bytes in hex. */
  readonly pceId: string
  /** 16 bytes. */
  readonly cpuSvn: readonly number[]
  readonly pceSvn: number
}

export const testPlatform: TestPlatform = {
  fmspc: '50806f000000',
  pceId: '0000',
  cpuSvn: [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0],
  pceSvn: 13,
}

/** The extension of a platform's certificate (Intel SGX PCK Certificate and CRL Profile, section 1.3.5). */
export function sgxExtension({ fmspc, pceId, cpuSvn, pceSvn }: TestPlatform): Buffer {
  const base = '1.2.840.113741.1.13.1'
  const member = (suffix: string, value: Uint8Array) => sequence(oid(`${base}.${suffix}`), value)
  const tcb = sequence(
    ...cpuSvn.map((svn, index) => member(`2.${index + 1}`, integer(svn))),
    member('2.17', integer(pceSvn)),
    member('2.18', octets(Uint8Array.from(cpuSvn))),
  )
  const value = sequence(
    member('1', octets(Buffer.alloc(16, 7))),
    member('2', tcb),
    member('3', octets(Buffer.from(pceId, 'hex'))),
    member('4', octets(Buffer.from(fmspc, 'hex'))),
    member('5', tlv(0x0a, Uint8Array.of(1))),
  )
  return extension(base, value)
}

/** The certificates of a hierarchy. */
export type TestPki = {
  readonly root: TestCertificate
  readonly ca: TestCertificate
  readonly pck: TestCertificate
  readonly collateralSigner: TestCertificate
}

const year = 365 * 86_400_000

/**
 * Issues a whole hierarchy, valid from a year before `now` to several after it.
 *
 * @param changes what to issue otherwise, by certificate
 */
export function createTestPki(
  now: number,
  changes: Partial<Record<keyof TestPki, Partial<CertificateOptions>>> = {},
): TestPki {
  const span = (years: number) => ({ notBefore: now - year, notAfter: now + years * year })
  const root = issue({ name: 'Test SGX Root CA', serial: 1, isCa: true, ...span(30), ...changes.root })
  const ca = issue({
    name: 'Test SGX PCK Platform CA',
    serial: 2,
    issuer: root,
    isCa: true,
    ...span(9),
    ...changes.ca,
  })
  const collateralSigner = issue({
    name: 'Test SGX TCB Signing',
    serial: 3,
    issuer: root,
    isCa: false,
    ...span(6),
    ...changes.collateralSigner,
  })
  const pck = issue({
    name: 'Test SGX PCK Certificate',
    serial: 4,
    issuer: ca,
    isCa: false,
    ...span(5),
    extensions: [sgxExtension(testPlatform)],
    ...changes.pck,
  })
  return { root, ca, pck, collateralSigner }
}
