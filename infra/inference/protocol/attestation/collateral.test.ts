import { describe, expect, it } from 'vitest'
import type { Attestation, Collateral } from './schema.ts'
import {
  createTestPki,
  extension,
  integer,
  issue,
  issueRevocationList,
  pemChain,
  sequence,
  sgxExtension,
  type TestCertificate,
  type TestPki,
  testPlatform,
} from './testPki.ts'
import {
  buildCollateral,
  type TestCollateralOptions,
  testListDates,
  testMeasurements,
  testNow,
  testQeIdentity,
  testTcbInfo,
} from './testQuote.ts'
import { build, day, otherKey, pinned, pki, refusal, refused, verify, withCollateral } from './testVerify.ts'

const signedParts = ['tcb_info', 'qe_identity'] as const

/** One part of other collateral, with a chain for it, so that nothing but that part is in question. */
const oneOf = (part: (typeof signedParts)[number], collateral: Collateral, chain: string) => ({
  [`${part}_issuer_chain`]: chain,
  [`${part}_signature`]: collateral[`${part}_signature`],
})

describe('a chain that does not lead to a pinned root', () => {
  const { root, ca, pck, collateralSigner } = pki

  it('has another root, and Intel is the root by default', () => {
    expect(refusal(build({ pki: createTestPki(testNow) }))).toBe('ATTESTATION_CHAIN')
    expect(refusal(build(), { pinned: { measurements: [testMeasurements] } })).toBe('ATTESTATION_CHAIN')
    expect(refusal(build(), { pinned: { ...pinned, roots: [] } })).toBe('ATTESTATION_CHAIN')
  })

  const span = { notBefore: testNow - day, notAfter: testNow + day }
  const platform = { name: 'Test SGX PCK Certificate', serial: 5, issuer: ca, isCa: false, ...span }
  const extensions = [sgxExtension(testPlatform)]
  const caLike = { name: ca.name, serial: ca.serial, issuer: root, isCa: true, ...span }
  const signer = { name: collateralSigner.name, serial: 6, issuer: root, isCa: false, ...span }
  /** A CA with a platform below it. */
  const below = (issuer: TestCertificate) => ({ ca: issuer, pck: issue({ ...platform, issuer, extensions }) })
  it.each<[string, Partial<TestPki>, string]>([
    ['the CA was not signed by the root', below(issue({ ...caLike, signingKey: otherKey })), 'the platform'],
    [
      'the CA names another issuer',
      below(issue({ ...caLike, issuer: { ...root, name: 'Another' } })),
      'the platform',
    ],
    ['the CA is none', below(issue({ ...caLike, isCa: false })), 'the platform'],
    [
      'the platform was not signed by the CA',
      { pck: issue({ ...platform, signingKey: otherKey }) },
      'the platform',
    ],
    [
      'the platform names another issuer',
      { pck: issue({ ...platform, issuer: { ...ca, name: 'Another' } }) },
      'the platform',
    ],
    ['the platform is a CA', { pck: issue({ ...platform, isCa: true }) }, 'the platform'],
    ['what signs collateral is a CA', { collateralSigner: issue({ ...signer, isCa: true }) }, 'the TCB info'],
    [
      'what signs collateral is forged',
      { collateralSigner: issue({ ...signer, signingKey: otherKey }) },
      'the TCB info',
    ],
  ])('%s', (_name, changes, whose) => {
    const { code, message } = refused(build({ pki: { ...pki, ...changes } }))
    expect(code).toBe('ATTESTATION_CHAIN')
    expect(message).toBe(`The certificates of ${whose} do not issue one another.`)
  })

  it('a platform certifies another, with a key that was taken out of it', () => {
    const forged = issue({ ...platform, issuer: pck, extensions })
    const chain = pemChain(forged, pck, ca, root)
    expect(refusal(build({ pki: { ...pki, pck: forged }, certificates: chain }))).toBe('ATTESTATION_CHAIN')
    // The same, passed off as what signs collateral.
    const { collateral } = build({ pki: { ...pki, collateralSigner: forged } })
    for (const part of signedParts)
      expect(refusal(withCollateral(oneOf(part, collateral, chain)))).toBe('ATTESTATION_CHAIN')
  })

  it('a platform signs collateral', () => {
    const { collateral } = build({ pki: { ...pki, collateralSigner: pck } })
    const chain = pemChain(pck, ca, root)
    for (const part of signedParts)
      expect(refusal(withCollateral(oneOf(part, collateral, chain)))).toBe('ATTESTATION_CHAIN')
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

  it('what signs collateral was issued by the CA, which stands in the place of the root', () => {
    const forged = issue({ ...signer, issuer: ca })
    const { collateral } = build({ pki: { ...pki, collateralSigner: forged } })
    const chain = pemChain(forged, ca)
    for (const part of signedParts)
      expect(refusal(withCollateral(oneOf(part, collateral, chain)))).toBe('ATTESTATION_CHAIN')
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

  it('of what signs one part of the collateral alone', () => {
    const span = { notBefore: testNow - day, notAfter: testNow + day }
    const second = issue({ name: 'Test SGX TCB Signing', serial: 7, issuer: pki.root, isCa: false, ...span })
    const theirs = buildCollateral({
      pki: { ...pki, collateralSigner: second },
      revoked: { byRoot: [second.serial] },
    })
    const { root_ca_crl } = theirs
    for (const part of signedParts) {
      const changes = oneOf(part, theirs, theirs[`${part}_issuer_chain`])
      expect(verify(withCollateral(changes)).tcbStatus).toBe('UpToDate')
      expect(refusal(withCollateral({ ...changes, root_ca_crl }))).toBe('ATTESTATION_REVOKED')
    }
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
    [
      'has a list that names another',
      () => withCollateral({ pck_crl: list({ issuer: { ...pki.ca, name: 'Another' } }) }),
    ],
    [
      'has a list with a critical extension of an entry',
      () =>
        withCollateral({
          pck_crl: list({ serials: [9], entryExtensions: [extension('2.5.29.29', sequence(), true)] }),
        }),
    ],
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

  const dates = ({ notBefore, notAfter }: typeof testListDates) => ({
    issueDate: new Date(notBefore).toISOString(),
    nextUpdate: new Date(notAfter).toISOString(),
  })
  // Certificates and lists count in whole seconds.
  it.each([
    ['expired', { notBefore: testNow - 2 * day, notAfter: testNow - 1_000 }, /has expired\.$/],
    ['not valid yet', { notBefore: testNow + 1_000, notAfter: testNow + day }, /is not valid yet\.$/],
  ] as const)('that is %s, in any part', (_name, span, message) => {
    const reissued = (['ca', 'pck', 'collateralSigner'] as const).map((which) =>
      createTestPki(testNow, { [which]: span }),
    )
    const attestations = [
      build({ tcbInfo: { ...testTcbInfo, ...dates(span) } }),
      build({ qeIdentity: { ...testQeIdentity, ...dates(span) } }),
      withCollateral({ pck_crl: list(span) }),
      withCollateral({ root_ca_crl: list({ ...span, issuer: pki.root }) }),
      ...reissued.map((hierarchy) => build({ pki: hierarchy })),
    ]
    const roots = [pki, ...reissued].map(({ root }) => root.der)
    for (const attestation of attestations) {
      const error = refused(attestation, { pinned: { ...pinned, roots } })
      expect(error.code).toBe('ATTESTATION_COLLATERAL_EXPIRED')
      expect(error.message).toMatch(message)
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
