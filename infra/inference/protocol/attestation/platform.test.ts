import { describe, expect, it } from 'vitest'
import {
  type TestCollateralOptions,
  type TestQuoteOptions,
  testQeIdentity,
  testTcbInfo,
} from './testQuote.ts'
import { build, pinned, refusal, verify } from './testVerify.ts'
import type { AttestationParameters } from './verifyAttestation.ts'

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
    const [identity] = testTcbInfo.tdxModuleIdentities
    const levels = [{ ...identity?.tcbLevels[0], tcbStatus: 'Revoked' }]
    const modules = [{ ...identity, tcbLevels: levels }]
    for (const tcbInfo of [status('Revoked'), { ...testTcbInfo, tdxModuleIdentities: modules }])
      expect(refusal(build({ tcbInfo }), { pinned: trust })).toBe('ATTESTATION_TCB_STATUS')
  })

  it('for TCB info that compares nothing', () => {
    const level = { ...uptodate, tcb: { pcesvn: 0, sgxtcbcomponents: [], tdxtcbcomponents: [] } }
    expect(refusal(build({ tcbInfo: { ...testTcbInfo, tcbLevels: [level] } }))).toBe('ATTESTATION_REFUSED')
  })
})
