import { describe, expect, it } from 'vitest'
import { type Attestation, attestationLimits } from './schema.ts'
import { createTestPki, pemChain } from './testPki.ts'
import {
  buildAttestation,
  buildQuote,
  type TestQuoteOptions,
  testMeasurements,
  testNow,
  testQeIdentity,
} from './testQuote.ts'
import {
  build,
  day,
  identity,
  keyConfigs,
  otherKey,
  pinned,
  pki,
  refusal,
  reportData,
  verify,
  withCollateral,
  withQuote,
} from './testVerify.ts'

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
