import { QuoteVerifier } from '@phala/dcap-qvl'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Attestation } from './schema.ts'
import { createTestPki, issue, issueRevocationList, pemChain, sgxExtension, testPlatform } from './testPki.ts'
import { testListDates, testNow, testQeIdentity, testTcbInfo } from './testQuote.ts'
import {
  build,
  day,
  identity,
  keyConfigs,
  otherKey,
  pinned,
  pki,
  refusal,
  withCollateral,
} from './testVerify.ts'

/** What the verification library says by itself. */
const byLibrary = ({ quote, collateral }: Attestation): string => {
  const { pck_certificate_chain: _, ...rest } = collateral
  const verifier = QuoteVerifier.newWithRootCa(Buffer.from(pki.root.der))
  return verifier.verify(Buffer.from(quote, 'base64'), rest, testNow / 1_000).status
}

/*
 * Why so much is verified before the library is asked: by itself it takes all of these. One that it refuses after an
 * update may go from here; the check stays.
 */
describe('what the library leaves to us', () => {
  const list = (changes: object) =>
    issueRevocationList({ issuer: pki.ca, ...testListDates, ...changes }).toString('hex')
  const revoked = { revoked: { byCa: [pki.pck.serial] } }

  it.each<[string, () => Attestation, string]>([
    [
      'a revocation list that the node signed itself',
      () => withCollateral({ pck_crl: list({ signingKey: otherKey }) }),
      'ATTESTATION_COLLATERAL_SIGNATURE',
    ],
    [
      'a revocation list that cannot be read, for a platform that was revoked',
      () => {
        const { quote, collateral } = build(revoked)
        return { quote, collateral: { ...collateral, pck_crl: '00' } }
      },
      'ATTESTATION_COLLATERAL_SIGNATURE',
    ],
    [
      'a revocation list of long ago',
      () => withCollateral({ pck_crl: list({ notBefore: testNow - 9 * day, notAfter: testNow - 8 * day }) }),
      'ATTESTATION_COLLATERAL_EXPIRED',
    ],
    [
      'a platform that certifies another',
      () => {
        const span = { notBefore: testNow - day, notAfter: testNow + day }
        const forged = issue({
          name: 'Test SGX PCK Certificate',
          serial: 5,
          issuer: pki.pck,
          isCa: false,
          ...span,
          extensions: [sgxExtension(testPlatform)],
        })
        return build({
          pki: { ...pki, pck: forged },
          certificates: pemChain(forged, pki.pck, pki.ca, pki.root),
        })
      },
      'ATTESTATION_CHAIN',
    ],
    [
      'collateral that a platform signed',
      () => {
        const chain = pemChain(pki.pck, pki.ca, pki.root)
        const { quote, collateral } = build({ pki: { ...pki, collateralSigner: pki.pck } })
        const chains = { tcb_info_issuer_chain: chain, qe_identity_issuer_chain: chain }
        return { quote, collateral: { ...collateral, ...chains } }
      },
      'ATTESTATION_CHAIN',
    ],
    [
      'a TDX module that is out of date',
      () => build({ svn: [5, 1, 3, ...Array<number>(13).fill(0)] }),
      'ATTESTATION_TCB_STATUS',
    ],
    [
      'a TDX module of another signer',
      () => build({ moduleSigner: '01'.repeat(48) }),
      'ATTESTATION_TDX_MODULE',
    ],
    [
      'TCB info of another PCE',
      () => build({ tcbInfo: { ...testTcbInfo, pceId: '0001' } }),
      'ATTESTATION_PLATFORM',
    ],
    [
      'a QE identity that ends at no time',
      () => build({ qeIdentity: { ...testQeIdentity, nextUpdate: 'never' } }),
      'ATTESTATION_COLLATERAL_SIGNATURE',
    ],
  ])('%s', (_name, attestation, code) => {
    expect(byLibrary(attestation())).toBe('UpToDate')
    expect(refusal(attestation())).toBe(code)
  })

  it('and agrees with us on what holds, and on another root', () => {
    expect(byLibrary(build())).toBe('UpToDate')
    expect(() => byLibrary(build({ pki: createTestPki(testNow) }))).toThrow(/certificate chain/)
  })
})

describe('a library that cannot be relied on', () => {
  afterEach(() => {
    vi.doUnmock('@phala/dcap-qvl')
    vi.resetModules()
  })

  const verifyWith = async (changes: object, trust: object) => {
    vi.resetModules()
    vi.doMock('@phala/dcap-qvl', async (original) => ({ ...(await original<object>()), ...changes }))
    const { verifyAttestation } = await import('./verifyAttestation.ts')
    const pins = { measurements: pinned.measurements, ...trust }
    return () => verifyAttestation({ attestation: build(), identity, keyConfigs, pinned: pins, now: testNow })
  }

  it('is not used where it would not use the cryptography of Node', async () => {
    const verify = await verifyWith({ isBrowser: true }, { roots: pinned.roots })
    expect(verify).toThrow(expect.objectContaining({ code: 'ATTESTATION_REFUSED' }))
  })

  it('is not used with another root than that of Intel', async () => {
    const verify = await verifyWith({ constants: { TRUSTED_ROOT_CA_DER: Buffer.from(pki.root.der) } }, {})
    expect(verify).toThrow(expect.objectContaining({ code: 'ATTESTATION_REFUSED' }))
  })
})
