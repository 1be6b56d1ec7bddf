import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { UnencodableMessageError } from '../errors.ts'
import { AttestationError, type AttestationErrorCode } from './errors.ts'
import { reportDataFor } from './reportData.ts'
import { type Attestation, attestationLimits, type Collateral } from './schema.ts'
import {
  createTestPki,
  extension,
  integer,
  issue,
  issueRevocationList,
  pemChain,
  sequence,
  sgxExtension,
  type TestPki,
  testPlatform,
} from './testPki.ts'
import {
  buildAttestation,
  buildCollateral,
  buildQuote,
  type TestCollateralOptions,
  type TestQuoteOptions,
  testListDates,
  testMeasurements,
  testNow,
  testPki,
  testQeIdentity,
  testTcbInfo,
} from './testQuote.ts'
import { type AttestationParameters, verifyAttestation } from './verifyAttestation.ts'

const identity = new Uint8Array(32).fill(1)
const keyConfigs = Uint8Array.from([0, 1, 2, 3])
const reportData = reportDataFor({ identity, keyConfigs })
const pki = testPki()
const pinned = { roots: [pki.root.der], measurements: [testMeasurements] }

const build = (options: TestQuoteOptions & TestCollateralOptions = {}) =>
  buildAttestation(reportData, options)
const withCollateral = (changes: Partial<Collateral>): Attestation => {
  const { quote, collateral } = build()
  return { quote, collateral: { ...collateral, ...changes } }
}
const withQuote = (bytes: Uint8Array): Attestation => ({
  quote: Buffer.from(bytes).toString('base64'),
  collateral: buildCollateral(),
})
const verify = (attestation: unknown, changes: Partial<AttestationParameters> = {}) =>
  verifyAttestation({ attestation, identity, keyConfigs, pinned, now: testNow, ...changes })

/** The code of the refusal; that there is one line for a person, and what to do, is checked beside it. */
function refusal(attestation: unknown, changes: Partial<AttestationParameters> = {}): AttestationErrorCode {
  try {
    verify(attestation, changes)
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    expect(error.message).toMatch(/^[A-Z][^\n]*\.$/)
    expect(error.fix).toMatch(/^[A-Z][^\n]*\.$/)
    return error.code
  }
  throw new Error('The attestation was accepted.')
}

const day = 86_400_000
const otherKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey

describe('report data', () => {
  it('is SHA-512 over label, identity and the hash of the keys', () => {
    // printf 'rialto node attestation v1\0' + 32 * 01 + sha256(00010203), through openssl dgst -sha512.
    expect(Buffer.from(reportData).toString('hex')).toBe(
      'b4ed70a2758b65e294985925147efb9cba21f2dd2ac30230744f7e14f36ae4919095de5c66d4a1c5a6bc889b44b6b3644ce5b6d3b182ca9bcca0a51ff13486c5',
    )
  })

  it('differs for another identity and for other keys', () => {
    const other = Uint8Array.from([0, 1, 2])
    const all = [
      reportData,
      reportDataFor({ identity: identity.with(0, 2), keyConfigs }),
      reportDataFor({ identity, keyConfigs: other }),
    ].map((bytes) => Buffer.from(bytes).toString('hex'))
    expect(new Set(all).size).toBe(3)
  })

  it('is not made for what is no identity, or without keys', () => {
    expect(() => reportDataFor({ identity: new Uint8Array(31), keyConfigs })).toThrow(UnencodableMessageError)
    expect(() => reportDataFor({ identity, keyConfigs: new Uint8Array(0) })).toThrow(UnencodableMessageError)
  })
})

describe('an attestation that holds', () => {
  it.each([
    ['version 4', {}, 4],
    ['version 5 with a TD report 1.0', { version: 5, bodyType: 2 }, 5],
    ['version 5 with a TD report 1.5', { version: 5, bodyType: 3 }, 5],
  ] as const)('is accepted in a quote of %s', (_name, options, quoteVersion) => {
    expect(verify(build(options))).toEqual({
      quoteVersion,
      measurements: testMeasurements,
      tcbStatus: 'UpToDate',
      advisoryIds: [],
      validUntil: testNow + 21 * day,
    })
  })

  it('holds until the first part of it expires', () => {
    const short = {
      ...testQeIdentity,
      nextUpdate: new Date(testNow + day).toISOString(),
    }
    const attestation = build({ qeIdentity: short })
    expect(verify(attestation).validUntil).toBe(testNow + day)
    expect(verify(attestation, { now: testNow + day }).validUntil).toBe(testNow + day)
    expect(refusal(attestation, { now: testNow + day + 1 })).toBe('ATTESTATION_COLLATERAL_EXPIRED')
  })

  it('may have zeros behind its quote, line ends of two characters, and the chain twice', () => {
    expect(verify(withQuote(new Uint8Array([...buildQuote(reportData), 0, 0, 0]))).quoteVersion).toBe(4)
    const crlf = pemChain(pki.pck, pki.ca, pki.root).replaceAll('\n', '\r\n')
    expect(verify(build({ certificates: crlf })).quoteVersion).toBe(4)
    const chain = pemChain(pki.pck, pki.ca, pki.root)
    expect(verify(withCollateral({ pck_certificate_chain: chain })).quoteVersion).toBe(4)
  })

  it('may descend from any pinned root, and match any pinned measurements', () => {
    const other = createTestPki(testNow)
    const otherMeasurements = { ...testMeasurements, rtMr3: 'c3'.repeat(48) }
    const trust = {
      roots: [pki.root.der, other.root.der],
      measurements: [testMeasurements, { ...otherMeasurements, mrTd: testMeasurements.mrTd.toUpperCase() }],
    }
    const attestation = build({ pki: other, measurements: otherMeasurements })
    expect(verify(attestation, { pinned: trust }).measurements).toEqual(otherMeasurements)
  })

  it('tells a status that is accepted knowingly, with its advisories', () => {
    const accept = (
      attestation: Attestation,
      ...acceptedTcbStatuses: ('OutOfDate' | 'SWHardeningNeeded')[]
    ) => verify(attestation, { pinned: { ...pinned, acceptedTcbStatuses } })
    expect(accept(build({ svn: [7, 1, 2, ...Array<number>(13).fill(0)] }), 'OutOfDate')).toMatchObject({
      tcbStatus: 'OutOfDate',
      advisoryIds: ['INTEL-SA-00837'],
    })
    expect(accept(build({ svn: [5, 1, 3, ...Array<number>(13).fill(0)] }), 'OutOfDate')).toMatchObject({
      tcbStatus: 'OutOfDate',
      advisoryIds: ['INTEL-SA-01036'],
    })
  })
})

describe('a quote that is none of TDX', () => {
  const bytes = buildQuote(reportData)
  it.each([
    ['is of SGX, version 3', buildQuote(reportData, { version: 3, teeType: 0 })],
    ['is of SGX, version 4', buildQuote(reportData, { version: 4, teeType: 0 })],
    ['is of SGX, version 5', buildQuote(reportData, { version: 5, bodyType: 1, teeType: 0 })],
    ['says TDX and has the report of an enclave', buildQuote(reportData, { version: 5, bodyType: 1 })],
    ['is of another version', buildQuote(reportData, { version: 6 })],
    ['is of another TEE', buildQuote(reportData, { teeType: 0x82 })],
    ['is signed with another kind of key', buildQuote(reportData, { attestationKeyType: 3 })],
    ['has other certification data', buildQuote(reportData, { certificationTypes: { outer: 5 } })],
    ['has no certificates', buildQuote(reportData, { certificationTypes: { inner: 3 } })],
    ['has more authentication data than is read', buildQuote(reportData, { qeAuthData: new Uint8Array(33) })],
    ['is cut', bytes.subarray(0, -1)],
    ['is a header alone', bytes.subarray(0, 48)],
    ['has bytes behind it', new Uint8Array([...bytes, 0, 1])],
  ])('%s', (_name, quote) => {
    expect(refusal(withQuote(quote))).toBe('ATTESTATION_NOT_TDX')
  })
})

describe('a signature in the quote that does not hold', () => {
  it.each<[string, TestQuoteOptions]>([
    ['of the quote', { forgery: { quote: otherKey } }],
    ['of the quoting enclave', { forgery: { report: otherKey } }],
    ['over another attestation key', { vouchedFor: new Uint8Array(96) }],
  ])('%s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_SIGNATURE')
  })

  it('of a quote whose measurements were changed to pinned ones', () => {
    const quote = buildQuote(reportData, { measurements: { ...testMeasurements, mrTd: 'ff'.repeat(48) } })
    quote.set(Buffer.from(testMeasurements.mrTd, 'hex'), 48 + 136)
    expect(refusal(withQuote(quote))).toBe('ATTESTATION_SIGNATURE')
  })
})

describe('a chain that does not lead to a pinned root', () => {
  const { root, ca, pck, collateralSigner } = pki
  const forge = (changes: Parameters<typeof createTestPki>[1]): TestPki => createTestPki(testNow, changes)
  const underOurs = (changes: Parameters<typeof createTestPki>[1]): TestPki => ({ ...forge(changes), root })

  it('has another root, and Intel is the root by default', () => {
    expect(refusal(build({ pki: createTestPki(testNow) }))).toBe('ATTESTATION_CHAIN')
    expect(refusal(build(), { pinned: { measurements: [testMeasurements] } })).toBe('ATTESTATION_CHAIN')
    expect(refusal(build(), { pinned: { ...pinned, roots: [] } })).toBe('ATTESTATION_CHAIN')
  })

  it.each<[string, TestPki]>([
    ['the CA was not signed by the root', { ...forge({}), root }],
    ['the platform was not signed by the CA', { ...pki, pck: forge({ pck: { signingKey: otherKey } }).pck }],
    ['the platform names another issuer', underOurs({ ca: { issuer: root, name: 'Another CA' } })],
    ['the CA is none', ((changed) => ({ ...changed, root }))(forge({ ca: { issuer: root, isCa: false } }))],
    ['the platform is a CA', { ...pki, pck: forge({ pck: { issuer: ca, isCa: true } }).pck }],
    [
      'what signs collateral is a CA',
      (({ collateralSigner: signer }) => ({ ...pki, collateralSigner: signer }))(
        forge({ collateralSigner: { issuer: root, isCa: true } }),
      ),
    ],
  ])('%s', (_name, hierarchy) => {
    expect(refusal(build({ pki: hierarchy }))).toBe('ATTESTATION_CHAIN')
  })

  it('a platform certifies another, with a key that was taken out of it', () => {
    const signed = { name: 'Test SGX PCK Certificate', serial: 5, issuer: pck, isCa: false }
    const span = { notBefore: testNow - day, notAfter: testNow + day }
    const forged = issue({ ...signed, ...span, extensions: [sgxExtension(testPlatform)] })
    const certificates = pemChain(forged, pck, ca, root)
    expect(refusal(build({ pki: { ...pki, pck: forged }, certificates }))).toBe('ATTESTATION_CHAIN')
    // The same, passed off as what signs collateral.
    const chain = pemChain(forged, pck, ca, root)
    const { collateral } = build({ pki: { ...pki, collateralSigner: forged } })
    const attestation = { ...build(), collateral: { ...collateral, tcb_info_issuer_chain: chain } }
    expect(refusal(attestation)).toBe('ATTESTATION_CHAIN')
  })

  it('a platform signs collateral', () => {
    const { collateral } = build({ pki: { ...pki, collateralSigner: pck } })
    const chain = pemChain(pck, ca, root)
    for (const field of ['tcb_info_issuer_chain', 'qe_identity_issuer_chain'] as const)
      expect(refusal(withCollateral({ ...collateral, [field]: chain }))).toBe('ATTESTATION_CHAIN')
  })

  it.each([
    ['nothing', '\0'],
    ['no PEM', 'certificates'],
    ['text around it', `${pemChain(pck, ca, root)}x`],
    ['text before it', ` ${pemChain(pck, ca, root)}`],
    ['lines of another length', pemChain(pck, ca, root).replace(/\n(.{64})\n/, '\n$1')],
    ['no root', pemChain(pck, ca)],
    ['no CA', pemChain(pck, root)],
    ['no platform', pemChain(ca, root)],
    ['another order', pemChain(ca, pck, root)],
    ['what is no certificate', pemChain({ ...pck, der: Uint8Array.of(0x30, 0) }, ca, root)],
    ['bytes behind a certificate', pemChain({ ...pck, der: Uint8Array.from([...pck.der, 0]) }, ca, root)],
  ])('%s', (_name, certificates) => {
    expect(refusal(build({ certificates }))).toBe('ATTESTATION_CHAIN')
  })

  it('lacks the root beside the collateral', () => {
    expect(refusal(withCollateral({ tcb_info_issuer_chain: pemChain(collateralSigner) }))).toBe(
      'ATTESTATION_CHAIN',
    )
  })
})

describe('a certificate that was revoked', () => {
  it.each<[string, TestCollateralOptions]>([
    ['of the platform', { revoked: { byCa: [3, pki.pck.serial] } }],
    ['of the CA', { revoked: { byRoot: [pki.ca.serial] } }],
    ['of what signs collateral', { revoked: { byRoot: [pki.collateralSigner.serial] } }],
  ])('%s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_REVOKED')
  })
})

describe('collateral', () => {
  const fields = Object.keys(buildCollateral()) as (keyof Collateral)[]
  it.each(fields)('without %s is missing', (field) => {
    const { quote, collateral } = build()
    const { [field]: _, ...rest } = collateral
    expect(refusal({ quote, collateral: rest })).toBe('ATTESTATION_COLLATERAL_MISSING')
    expect(refusal({ quote, collateral: { ...rest, [field]: '' } })).toBe('ATTESTATION_COLLATERAL_MISSING')
  })

  it('is missing altogether', () => {
    expect(refusal({ quote: build().quote })).toBe('ATTESTATION_COLLATERAL_MISSING')
    expect(refusal({ quote: build().quote, collateral: null })).toBe('ATTESTATION_COLLATERAL_MISSING')
  })

  const list = (changes: Partial<Parameters<typeof issueRevocationList>[0]>) =>
    issueRevocationList({ issuer: pki.ca, ...testListDates, ...changes }).toString('hex')
  it.each<[string, () => Attestation]>([
    [
      'has other TCB info than was signed',
      () => withCollateral({ tcb_info: JSON.stringify({ ...testTcbInfo, fmspc: '0'.repeat(12) }) }),
    ],
    ['has another QE identity than was signed', () => withCollateral({ qe_identity: '{}' })],
    ['has TCB info that is no JSON', () => build({ tcbInfo: '{' })],
    ['has TCB info that is something else', () => build({ tcbInfo: testQeIdentity })],
    ['has TCB info without an end', () => build({ tcbInfo: { ...testTcbInfo, nextUpdate: 'never' } })],
    ['has a QE identity that is something else', () => build({ qeIdentity: '[]' })],
    ['has a list of nobody', () => withCollateral({ pck_crl: '00' })],
    ['has an empty list', () => withCollateral({ root_ca_crl: '3000' })],
    ['has a list that is forged', () => withCollateral({ pck_crl: list({ signingKey: otherKey }) })],
    ['has the list of another CA', () => withCollateral({ root_ca_crl: list({}) })],
    ['has a list with bytes behind it', () => withCollateral({ pck_crl: `${list({})}00` })],
    [
      'has a list with a critical extension',
      () => withCollateral({ pck_crl: list({ extensions: [extension('2.5.29.28', sequence(), true)] }) }),
    ],
    [
      'has a certificate for a list',
      () => withCollateral({ pck_crl: Buffer.from(pki.pck.der).toString('hex') }),
    ],
    [
      'has a list with what is none inside',
      () => withCollateral({ pck_crl: list({ extensions: [integer(1)] }) }),
    ],
  ])('%s', (_name, attestation) => {
    expect(refusal(attestation())).toBe('ATTESTATION_COLLATERAL_SIGNATURE')
  })

  const expired = { notBefore: testNow - 2 * day, notAfter: testNow - 1 }
  const tomorrow = { notBefore: testNow + 1, notAfter: testNow + day }
  const dates = ({ notBefore, notAfter }: typeof expired) => ({
    issueDate: new Date(notBefore).toISOString(),
    nextUpdate: new Date(notAfter).toISOString(),
  })
  it.each([
    ['expired', expired],
    ['not valid yet', tomorrow],
  ] as const)('that is %s, in any part', (_name, span) => {
    // Certificates count in whole seconds.
    const seconds = { notBefore: span.notBefore - 1_000, notAfter: span.notAfter - 1_000 }
    const whole = span === tomorrow ? { notBefore: testNow + 1_000, notAfter: testNow + day } : seconds
    const attestations = [
      build({ tcbInfo: { ...testTcbInfo, ...dates(span) } }),
      build({ qeIdentity: { ...testQeIdentity, ...dates(span) } }),
      withCollateral({ pck_crl: list(whole) }),
      withCollateral({ root_ca_crl: list({ ...whole, issuer: pki.root }) }),
      ...(['ca', 'pck', 'collateralSigner'] as const).map((which) =>
        build({ pki: { ...createTestPki(testNow, { [which]: whole }) } }),
      ),
    ]
    for (const attestation of attestations) {
      const roots = [pki.root.der, ...rootsOf(attestation)]
      expect(refusal(attestation, { pinned: { ...pinned, roots } })).toBe('ATTESTATION_COLLATERAL_EXPIRED')
    }
  })

  it('of another platform', () => {
    const other = createTestPki(testNow, { ca: { issuer: pki.root }, pck: {} })
    const noPlatform = issue({
      name: 'Test SGX PCK Certificate',
      serial: 4,
      issuer: pki.ca,
      isCa: false,
      notBefore: testNow - day,
      notAfter: testNow + day,
    })
    const attestations = [
      build({ tcbInfo: { ...testTcbInfo, fmspc: '00906ED50000' } }),
      build({ tcbInfo: { ...testTcbInfo, pceId: '0001' } }),
      build({ tcbInfo: { ...testTcbInfo, id: 'SGX' } }),
      build({ tcbInfo: { ...testTcbInfo, version: 2 } }),
      build({ pki: { ...pki, pck: noPlatform } }),
      withCollateral({ pck_crl_issuer_chain: pemChain(other.ca, pki.root) }),
    ]
    for (const attestation of attestations) expect(refusal(attestation)).toBe('ATTESTATION_PLATFORM')
  })

  it('of another platform with the same CA', () => {
    const twin = createTestPki(testNow, { pck: { issuer: pki.ca } }).pck
    const chain = pemChain(twin, pki.ca, pki.root)
    expect(refusal(withCollateral({ pck_certificate_chain: chain }))).toBe('ATTESTATION_PLATFORM')
  })
})

/** The root that an attestation's collateral names. */
function rootsOf({ collateral }: Attestation): Uint8Array[] {
  const [, last = ''] =
    collateral.pck_crl_issuer_chain.match(/-----BEGIN[^-]+-----([^-]+)-----END[^-]+-----\n$/) ?? []
  return [new Uint8Array(Buffer.from(last, 'base64'))]
}

describe('a platform that is refused', () => {
  const rest = Array<number>(13).fill(0)
  const [uptodate] = testTcbInfo.tcbLevels
  const status = (tcbStatus: string) => ({ ...testTcbInfo, tcbLevels: [{ ...uptodate, tcbStatus }] })

  it.each<[string, TestQuoteOptions & TestCollateralOptions]>([
    ['has another signer', { enclave: { mrSigner: 'ee'.repeat(32) } }],
    ['is another enclave of the signer', { enclave: { isvProdId: 1 } }],
    ['is older than any known', { enclave: { isvSvn: 3 } }],
    ['can be debugged', { enclave: { attributes: '13000000000000000000000000000000' } }],
    ['has other attributes', { enclave: { attributes: '15000000000000000000000000000080', miscSelect: 1 } }],
    ['is known as that of SGX', { qeIdentity: { ...testQeIdentity, id: 'QE' } }],
    ['has no level', { qeIdentity: { ...testQeIdentity, tcbLevels: [] } }],
  ])('for its quoting enclave, which %s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_QUOTING_ENCLAVE')
  })

  it.each<[string, TestQuoteOptions & TestCollateralOptions]>([
    ['has another signer', { moduleSigner: '01'.repeat(48) }],
    ['has attributes', { moduleAttributes: '0100000000000000' }],
    ['is of an unknown version', { svn: [7, 2, 3, ...rest] }],
    ['is not described', { tcbInfo: { ...testTcbInfo, tdxModuleIdentities: undefined } }],
    [
      'is of version 0 and not described',
      { svn: [7, 0, 3, ...rest], tcbInfo: { ...testTcbInfo, tdxModule: undefined } },
    ],
    ['is of version 0 with another signer', { svn: [7, 0, 3, ...rest], moduleSigner: '01'.repeat(48) }],
  ])('for its TDX module, which %s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_TDX_MODULE')
  })

  it('and one with a module of version 0 is not', () => {
    expect(verify(build({ svn: [7, 0, 3, ...rest] })).tcbStatus).toBe('UpToDate')
  })

  it.each<[string, TestQuoteOptions & TestCollateralOptions]>([
    ['is out of date', { svn: [7, 1, 2, ...rest] }],
    ['is below every level', { svn: [7, 1, 1, ...rest] }],
    ['was revoked', { tcbInfo: status('Revoked') }],
    ['is at a level of no known name', { tcbInfo: status('Splendid') }],
    ['needs hardening', { tcbInfo: status('SWHardeningNeeded') }],
    ['has a module that is out of date', { svn: [5, 1, 3, ...rest] }],
    ['has a module below every level', { svn: [3, 1, 3, ...rest] }],
    [
      'has a quoting enclave that is out of date',
      {
        qeIdentity: {
          ...testQeIdentity,
          tcbLevels: [{ ...testQeIdentity.tcbLevels[0], tcbStatus: 'OutOfDate' }],
        },
      },
    ],
  ])('since it %s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_TCB_STATUS')
  })

  it('for what its module adds to what is accepted of it', () => {
    const trust = { ...pinned, acceptedTcbStatuses: ['ConfigurationNeeded', 'OutOfDate'] as const }
    const options = { tcbInfo: status('ConfigurationNeeded'), svn: [5, 1, 3, ...rest] }
    expect(verify(build({ tcbInfo: options.tcbInfo }), { pinned: trust }).tcbStatus).toBe(
      'ConfigurationNeeded',
    )
    expect(refusal(build(options), { pinned: trust })).toBe('ATTESTATION_TCB_STATUS')
  })

  it('and a revoked one even if its status is said to be accepted', () => {
    const trust = {
      ...pinned,
      acceptedTcbStatuses: ['Revoked'],
    } as unknown as AttestationParameters['pinned']
    expect(refusal(build({ tcbInfo: status('Revoked') }), { pinned: trust })).toBe('ATTESTATION_TCB_STATUS')
  })

  it('for TCB info that compares nothing', () => {
    const level = { ...uptodate, tcb: { pcesvn: 0, sgxtcbcomponents: [], tdxtcbcomponents: [] } }
    expect(refusal(build({ tcbInfo: { ...testTcbInfo, tcbLevels: [level] } }))).toBe('ATTESTATION_REFUSED')
  })
})

describe('a trust domain that is refused', () => {
  it.each(['0100001000000000', '8000001000000000'])('since it can be debugged (%s)', (tdAttributes) => {
    expect(refusal(build({ tdAttributes }))).toBe('ATTESTATION_DEBUG')
    expect(refusal(build({ tdAttributes, version: 5, bodyType: 3 }))).toBe('ATTESTATION_DEBUG')
  })

  it.each<[string, TestQuoteOptions]>([
    ['lets its host inject exceptions on memory', { tdAttributes: '0000000000000000' }],
    ['can be migrated', { tdAttributes: '0000003000000000' }],
    ['has an unknown attribute', { tdAttributes: '0001001000000000' }],
    ['is served by another trust domain', { version: 5, bodyType: 3, serviceTd: '01'.repeat(48) }],
  ])('since it %s', (_name, options) => {
    expect(refusal(build(options))).toBe('ATTESTATION_ATTRIBUTES')
  })

  it.each(['mrTd', 'rtMr0', 'rtMr1', 'rtMr2', 'rtMr3'] as const)('for its %s', (register) => {
    const measurements = { ...testMeasurements, [register]: 'c4'.repeat(48) }
    expect(refusal(build({ measurements }))).toBe('ATTESTATION_MEASUREMENTS')
  })

  it('since no entry has all of its registers, though each is in one', () => {
    const other = { ...testMeasurements, mrTd: 'c4'.repeat(48), rtMr3: 'c5'.repeat(48) }
    const trust = { ...pinned, measurements: [testMeasurements, other] }
    const mixed = build({ measurements: { ...testMeasurements, rtMr3: other.rtMr3 } })
    expect(refusal(mixed, { pinned: trust })).toBe('ATTESTATION_MEASUREMENTS')
  })

  it('since nothing is pinned', () => {
    expect(refusal(build(), { pinned: { ...pinned, measurements: [] } })).toBe('ATTESTATION_MEASUREMENTS')
  })

  it('since its quote is for another identity, or other keys', () => {
    expect(refusal(build(), { identity: identity.with(31, 2) })).toBe('ATTESTATION_REPORT_DATA')
    expect(refusal(build(), { keyConfigs: keyConfigs.with(3, 4) })).toBe('ATTESTATION_REPORT_DATA')
    expect(refusal(buildAttestation(new Uint8Array(64)))).toBe('ATTESTATION_REPORT_DATA')
  })
})

describe('the JSON form', () => {
  const { quote, collateral } = build()
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'quote'],
    ['a list', []],
    ['no quote', { collateral }],
    ['a quote of no length', { quote: '', collateral }],
    ['a quote in another alphabet', { quote: quote.replaceAll('A', '-'), collateral }],
    ['a quote with bits to spare', { quote: 'AB==', collateral }],
    ['too long a quote', { quote: 'AAAA'.repeat(attestationLimits.quote / 4 + 1), collateral }],
    ['a member more', { quote, collateral, more: 1 }],
    ['a member more in the collateral', { quote, collateral: { ...collateral, more: '' } }],
    ['hex in capitals', { quote, collateral: { ...collateral, pck_crl: collateral.pck_crl.toUpperCase() } }],
    ['half a byte', { quote, collateral: { ...collateral, pck_crl: '0' } }],
    ['a short signature', { quote, collateral: { ...collateral, tcb_info_signature: '00' } }],
    [
      'too long a list',
      { quote, collateral: { ...collateral, pck_crl: '00'.repeat(attestationLimits.crl) } },
    ],
    ['a number for a text', { quote, collateral: { ...collateral, tcb_info: 1 } }],
  ])('is not %s', (_name, value) => {
    expect(refusal(value)).toBe('ATTESTATION_FORMAT')
  })
})
