import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Attestation, Collateral, Measurements } from './schema.ts'
import { createTestPki, issueRevocationList, pemChain, type TestPki, testPlatform } from './testPki.ts'

/*
 * A TDX platform for tests: real quotes and collateral in every byte, under a root of their own. Each option changes
 * one thing *before* it is signed, so that a test meets the check that it is about and not a broken signature.
 */

/** Of a TD quoting enclave. */
export type TestEnclave = {
  readonly mrSigner: string
  readonly isvProdId: number
  readonly isvSvn: number
  /** 16 bytes in hex. */
  readonly attributes: string
  readonly miscSelect: number
}

export type TestQuoteOptions = {
  readonly pki?: TestPki
  readonly version?: number
  /** The body of a quote of version 5, by its number; a quote of version 4 has none. */
  readonly bodyType?: 1 | 2 | 3
  readonly teeType?: number
  readonly attestationKeyType?: number
  readonly measurements?: Measurements
  /** 8 bytes in hex. */
  readonly tdAttributes?: string
  /** TEE_TCB_SVN, 16 bytes. */
  readonly svn?: readonly number[]
  /** 48 bytes in hex. */
  readonly moduleSigner?: string
  /** 8 bytes in hex. */
  readonly moduleAttributes?: string
  /** 48 bytes in hex, of a TD report of version 1.5. */
  readonly serviceTd?: string
  readonly enclave?: Partial<TestEnclave>
  /** PEM inside the quote. */
  readonly certificates?: string
  readonly certificationTypes?: { readonly outer?: number; readonly inner?: number }
  readonly qeAuthData?: Uint8Array
  /** Keys that sign in the place of the right ones. */
  readonly forgery?: { readonly report?: KeyObject; readonly quote?: KeyObject }
  /** What the quoting enclave vouches for instead of its attestation key. */
  readonly vouchedFor?: Uint8Array
}

export const testMeasurements: Measurements = {
  mrTd: 'a1'.repeat(48),
  rtMr0: 'b0'.repeat(48),
  rtMr1: 'b1'.repeat(48),
  rtMr2: 'b2'.repeat(48),
  rtMr3: 'b3'.repeat(48),
}

const testEnclave: TestEnclave = {
  mrSigner: 'dc'.repeat(32),
  isvProdId: 2,
  isvSvn: 4,
  attributes: '11000000000000000000000000000000',
  miscSelect: 0,
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const zeros = (length: number): Buffer => Buffer.alloc(length)
const uint16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const signRaw = (bytes: Uint8Array, key: KeyObject): Buffer =>
  sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })

const newKey = (): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

/** x and y of a key, 64 bytes. */
const pointOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' }).subarray(-64)

/** An SGX report: 384 bytes. */
function enclaveReport(enclave: TestEnclave, reportData: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(testPlatform.cpuSvn),
    uint32(enclave.miscSelect),
    zeros(28),
    hex(enclave.attributes),
    zeros(32),
    zeros(32),
    hex(enclave.mrSigner),
    zeros(96),
    uint16(enclave.isvProdId),
    uint16(enclave.isvSvn),
    zeros(60),
    reportData,
  ])
}

/** A TD report: 584 bytes in version 1.0, 648 in version 1.5. */
function tdReport(options: TestQuoteOptions, reportData: Uint8Array): Buffer {
  const measurements = options.measurements ?? testMeasurements
  const svn = Buffer.from(options.svn ?? testModuleSvn)
  return Buffer.concat([
    svn,
    Buffer.alloc(48, 0x5e),
    hex(options.moduleSigner ?? '00'.repeat(48)),
    hex(options.moduleAttributes ?? '00'.repeat(8)),
    hex(options.tdAttributes ?? '0000001000000000'),
    hex('e702060000000000'),
    hex(measurements.mrTd),
    zeros(48 * 3),
    hex(measurements.rtMr0),
    hex(measurements.rtMr1),
    hex(measurements.rtMr2),
    hex(measurements.rtMr3),
    reportData,
    ...(options.bodyType === 3 ? [svn, hex(options.serviceTd ?? '00'.repeat(48))] : []),
  ])
}

/** TDX module 1.5, at security version 7. */
const testModuleSvn = [7, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

let sharedPki: TestPki | undefined

/** The moment around which everything here is valid: 2026-03-01T00:00:00Z. */
export const testNow = Date.UTC(2026, 2, 1)

/** One hierarchy for all tests of a process. */
export function testPki(): TestPki {
  sharedPki ??= createTestPki(testNow)
  return sharedPki
}

/**
 * Makes a quote for this report data.
 *
 * @param reportData 64 bytes
 */
export function buildQuote(reportData: Uint8Array, options: TestQuoteOptions = {}): Uint8Array {
  const { version = 4, teeType = 0x81, bodyType, pki = testPki() } = options
  const attestationKey = newKey()
  const header = Buffer.concat([
    uint16(version),
    uint16(options.attestationKeyType ?? 2),
    uint32(teeType),
    zeros(4),
    hex('939a7233f79c4ca9940a0db3957f0607'),
    zeros(20),
  ])
  const isSgx = bodyType === 1 || (bodyType === undefined && teeType === 0)
  const enclave = { ...testEnclave, ...options.enclave }
  const report = isSgx ? enclaveReport(enclave, reportData) : tdReport(options, reportData)
  const body = version === 5 ? Buffer.concat([uint16(bodyType ?? 2), uint32(report.length), report]) : report
  const signed = Buffer.concat([header, body])

  const point = pointOf(attestationKey.publicKey)
  const qeAuthData = options.qeAuthData ?? Buffer.from(Array.from({ length: 32 }, (_, index) => index))
  const vouched = options.vouchedFor ?? Buffer.concat([point, qeAuthData])
  const qeReport = enclaveReport(
    enclave,
    Buffer.concat([createHash('sha256').update(vouched).digest(), zeros(32)]),
  )
  const certificates = Buffer.from(options.certificates ?? `${pemChain(pki.pck, pki.ca, pki.root)}\0`)
  const qeData = Buffer.concat([
    qeReport,
    signRaw(qeReport, options.forgery?.report ?? pki.pck.privateKey),
    uint16(qeAuthData.length),
    qeAuthData,
    uint16(options.certificationTypes?.inner ?? 5),
    uint32(certificates.length),
    certificates,
  ])
  const signature = Buffer.concat([
    signRaw(signed, options.forgery?.quote ?? attestationKey.privateKey),
    point,
  ])
  // A quote of version 3 has no certification data of its own around that of the quoting enclave.
  const auth =
    version === 3
      ? Buffer.concat([signature, qeData])
      : Buffer.concat([
          signature,
          uint16(options.certificationTypes?.outer ?? 6),
          uint32(qeData.length),
          qeData,
        ])
  return new Uint8Array(Buffer.concat([signed, uint32(auth.length), auth]))
}

const svns = (values: readonly number[]) => values.map((svn) => ({ svn }))
const tcb = (tdx: readonly number[]) => ({
  sgxtcbcomponents: svns(testPlatform.cpuSvn),
  pcesvn: testPlatform.pceSvn,
  tdxtcbcomponents: svns([...tdx, ...Array<number>(16 - tdx.length).fill(0)]),
})

/** Dates of collateral: issued a week before now, due three weeks after it. */
const testDates = {
  issueDate: new Date(testNow - 7 * 86_400_000).toISOString(),
  nextUpdate: new Date(testNow + 21 * 86_400_000).toISOString(),
}

const anyModule = { mrsigner: '00'.repeat(48), attributes: '00'.repeat(8), attributesMask: 'FF'.repeat(8) }

/** TCB info of version 3 for the test platform. */
export const testTcbInfo = {
  id: 'TDX',
  version: 3,
  ...testDates,
  fmspc: testPlatform.fmspc.toUpperCase(),
  pceId: testPlatform.pceId,
  tcbType: 0,
  tcbEvaluationDataNumber: 18,
  tdxModule: anyModule,
  tdxModuleIdentities: [
    {
      id: 'TDX_01',
      ...anyModule,
      tcbLevels: [
        { tcb: { isvsvn: 6 }, tcbDate: '2025-01-01T00:00:00Z', tcbStatus: 'UpToDate' },
        {
          tcb: { isvsvn: 4 },
          tcbDate: '2024-01-01T00:00:00Z',
          tcbStatus: 'OutOfDate',
          advisoryIDs: ['INTEL-SA-01036'],
        },
      ],
    },
  ],
  tcbLevels: [
    { tcb: tcb([2, 0, 3]), tcbDate: '2025-01-01T00:00:00Z', tcbStatus: 'UpToDate' },
    {
      tcb: tcb([2, 0, 2]),
      tcbDate: '2024-01-01T00:00:00Z',
      tcbStatus: 'OutOfDate',
      advisoryIDs: ['INTEL-SA-00837'],
    },
  ],
}

/** The identity of the test quoting enclave. */
export const testQeIdentity = {
  id: 'TD_QE',
  version: 2,
  ...testDates,
  tcbEvaluationDataNumber: 18,
  miscselect: '00000000',
  miscselectMask: 'FFFFFFFF',
  attributes: '11000000000000000000000000000000',
  attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
  mrsigner: testEnclave.mrSigner.toUpperCase(),
  isvprodid: testEnclave.isvProdId,
  tcbLevels: [{ tcb: { isvsvn: 4 }, tcbDate: '2025-01-01T00:00:00Z', tcbStatus: 'UpToDate' }],
}

export type TestCollateralOptions = {
  readonly pki?: TestPki
  /** What is signed as TCB info and as QE identity: an object, or text as it is. */
  readonly tcbInfo?: object | string
  readonly qeIdentity?: object | string
  /** Serial numbers on the list of the root, and on that of the platforms' CA. */
  readonly revoked?: { readonly byRoot?: readonly number[]; readonly byCa?: readonly number[] }
}

/** Dates of revocation lists, as {@link testDates}. */
export const testListDates = { notBefore: testNow - 7 * 86_400_000, notAfter: testNow + 23 * 86_400_000 }

/** Makes collateral for the test platform. */
export function buildCollateral(options: TestCollateralOptions = {}): Collateral {
  const { pki = testPki(), tcbInfo = testTcbInfo, qeIdentity = testQeIdentity } = options
  const { root, ca, collateralSigner } = pki
  const signerChain = pemChain(collateralSigner, root)
  const text = (document: object | string) =>
    typeof document === 'string' ? document : JSON.stringify(document)
  const signed = (document: object | string) =>
    signRaw(Buffer.from(text(document)), collateralSigner.privateKey).toString('hex')
  const list = (issuer: TestPki['root'], serials: readonly number[] = []) =>
    issueRevocationList({ issuer, serials, ...testListDates }).toString('hex')
  return {
    pck_crl_issuer_chain: pemChain(ca, root),
    root_ca_crl: list(root, options.revoked?.byRoot),
    pck_crl: list(ca, options.revoked?.byCa ?? [99, 100]),
    tcb_info_issuer_chain: signerChain,
    tcb_info: text(tcbInfo),
    tcb_info_signature: signed(tcbInfo),
    qe_identity_issuer_chain: signerChain,
    qe_identity: text(qeIdentity),
    qe_identity_signature: signed(qeIdentity),
  }
}

/** Makes an attestation in its JSON form. */
export const buildAttestation = (
  reportData: Uint8Array,
  options: TestQuoteOptions & TestCollateralOptions = {},
): Attestation => ({
  quote: Buffer.from(buildQuote(reportData, options)).toString('base64'),
  collateral: buildCollateral(options),
})
