import { randomBytes } from 'node:crypto'
import { AuthorizationHeader, TOKEN_TYPES, WWWAuthenticateHeader } from '@cloudflare/privacypass-ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readTokenKey } from '../blindRsa/keys.ts'
import { formatAuthorization, formatChallenges, parseAuthorization, parseChallenges } from './headers.ts'
import { rfc9577 } from './rfc9577.fixture.ts'
import { rfc9578 } from './rfc9578.fixture.ts'
import { decodeToken, encodeToken } from './token.ts'
import { encodeTokenChallenge, gatewayChallenge } from './tokenChallenge.ts'

const malformed = expect.objectContaining({ code: 'TOKEN_FORMAT' })
const challenge = gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' })
const token = decodeToken(Buffer.from(rfc9578.token, 'hex'))

describe('WWW-Authenticate', () => {
  it('reads the published header of RFC 9577 appendix A.2', () => {
    const [found, ...more] = parseChallenges(rfc9577.one)
    expect(more).toEqual([])
    expect(found?.challenge).toMatchObject({
      tokenType: 2,
      issuerName: 'issuer.example',
      originInfo: ['origin.example'],
    })
    const context = '8a3e83a33d98005d2f30bef419fa6bf4cd5c6005e36b1285bbb4ccd40fa4b383'
    expect(Buffer.from(found?.challenge.redemptionContext ?? []).toString('hex')).toBe(context)
    expect(found?.maxAge).toBe(10)
    expect(readTokenKey(found?.tokenKey ?? new Uint8Array()).bits).toBe(2048)
  })

  it('passes over other token types, other schemes and grease', () => {
    expect(parseChallenges(rfc9577.two)).toHaveLength(1)
    expect(parseChallenges(rfc9577.greased)).toEqual([])
    expect(parseChallenges('Basic dXNlcjpwYXNz==, Negotiate')).toEqual([])
    expect(parseChallenges('')).toEqual([])
    const ours = formatChallenges([{ challenge }])
    const mixed = `Negotiate YWJj, ${ours}, Digest realm="a, PrivateToken \\"b\\"", nonce=x, ${ours}`
    expect(parseChallenges(mixed)).toEqual([{ challenge }, { challenge }])
  })

  it('passes over challenges with a part that does not read', () => {
    const value = Buffer.from(encodeTokenChallenge(challenge)).toString('base64url')
    expect(parseChallenges(`PrivateToken challenge="${value}"`)).toHaveLength(value.length % 4 === 0 ? 1 : 0)
    for (const parameters of [
      '',
      'token-key="AAAA"',
      'challenge="AAAA"',
      'challenge="!!!!"',
      `challenge="AAIA*"`,
    ])
      expect(parseChallenges(`PrivateToken ${parameters}`)).toEqual([])
    const [good = ''] = [formatChallenges([{ challenge, tokenKey: randomBytes(342), maxAge: 60 }])]
    expect(parseChallenges(good.replace('"60"', '"-60"'))).toEqual([])
    expect(parseChallenges(good.replace('"60"', '60'))).toHaveLength(1)
  })

  it('is understood by privacypass-ts, and the other way round', () => {
    const tokenKey = Buffer.from(rfc9578.publicKey, 'hex')
    const ours = formatChallenges([{ challenge, tokenKey, maxAge: 10 }])
    const [theirs] = WWWAuthenticateHeader.parse(ours)
    expect(theirs?.challenge).toMatchObject({ issuerName: 'mint.example', originInfo: ['gateway.example'] })
    expect(theirs?.maxAge).toBe(10)
    for (const quoted of [true, false]) {
      const [back] = parseChallenges(theirs?.toString(quoted) ?? '')
      expect(back).toMatchObject({ challenge, maxAge: 10 })
      expect(Buffer.from(back?.tokenKey ?? [])).toEqual(tokenKey)
    }
  })

  it('brings back what it writes', () => {
    const each = fc.record(
      { challenge: fc.constant(challenge), tokenKey: fc.uint8Array({ maxLength: 400 }), maxAge: fc.nat() },
      { requiredKeys: ['challenge'] },
    )
    fc.assert(
      fc.property(fc.array(each, { maxLength: 6 }), (given) => {
        const back = parseChallenges(formatChallenges(given))
        expect(back.map(({ tokenKey = [], ...more }) => ({ ...more, tokenKey: [...tokenKey] }))).toEqual(
          given.map(({ tokenKey = [], ...more }) => ({ ...more, tokenKey: [...tokenKey] })),
        )
      }),
    )
  })

  it('never does anything but read or refuse', () => {
    const pieces = fc.constantFrom(
      ...'PrivateToken challenge= token-key= " \\ , = \t é "a\\"b" YWJj== \0 Basic'.split(' '),
      ' ',
    )
    const text = fc.array(fc.oneof(pieces, fc.string()), { maxLength: 40 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, (header) => {
        for (const parse of [parseChallenges, parseAuthorization])
          try {
            parse(header)
          } catch (error) {
            expect(error).toMatchObject({ code: 'TOKEN_FORMAT' })
          }
      }),
      { numRuns: 1_000 },
    )
    expect(() => parseChallenges('a'.repeat(16_385))).toThrow(malformed)
    expect(() => parseChallenges(`PrivateToken a="${'\\"'.repeat(8_000)}`)).toThrow(malformed)
  })
})

describe('Authorization', () => {
  it('brings a token back, and is understood by privacypass-ts both ways', () => {
    const header = formatAuthorization(token)
    expect(encodeToken(parseAuthorization(header))).toEqual(encodeToken(token))
    const [theirs] = AuthorizationHeader.parse(TOKEN_TYPES.BLIND_RSA, header)
    for (const quoted of [true, false])
      expect(encodeToken(parseAuthorization(theirs?.toString(quoted) ?? ''))).toEqual(encodeToken(token))
  })

  it('takes one token and nothing else', () => {
    const header = formatAuthorization(token)
    const refused = [
      '',
      'PrivateToken',
      'Bearer abc',
      header.replace('PrivateToken', 'Bearer'),
      `${header}, ${header}`,
      `${header}, token="AA=="`,
      header.slice(0, -5),
      header.replace(/.{4}"$/, '"'),
      'PrivateToken token="AAI="',
    ]
    for (const each of refused) expect(() => parseAuthorization(each)).toThrow(malformed)
  })
})
