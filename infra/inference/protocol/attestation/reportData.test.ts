import { describe, expect, it } from 'vitest'
import { UnencodableMessageError } from '../errors.ts'
import { reportDataFor } from './reportData.ts'
import { identity, keyConfigs, reportData } from './testVerify.ts'

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
