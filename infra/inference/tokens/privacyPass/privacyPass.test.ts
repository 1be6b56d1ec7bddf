import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  TokenChallenge as OracleChallenge,
  Token as OracleToken,
  publicVerif,
  TOKEN_TYPES,
} from '@cloudflare/privacypass-ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sampleFile } from '../../../../test/sampleData.ts'
import { toInteger } from '../blindRsa/integers.ts'
import { exportPrivateKey, generateTokenKey, readPrivateKey, readTokenKey } from '../blindRsa/keys.ts'
import { TokenError } from '../errors.ts'
import {
  decodeTokenRequest,
  decodeTokenResponse,
  encodeTokenRequest,
  encodeTokenResponse,
  finalizeToken,
  issueToken,
  requestToken,
} from './issuance.ts'
import { createRedeemer } from './redemption.ts'
import { rfc9578 } from './rfc9578.fixture.ts'
import { decodeToken, encodeAuthenticatorInput, encodeToken, nullifierOf, TOKEN_LENGTH } from './token.ts'
import {
  challengeDigest,
  decodeTokenChallenge,
  encodeTokenChallenge,
  gatewayChallenge,
  isForOrigin,
} from './tokenChallenge.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const code = (value: string) => expect.objectContaining({ code: value })
const pair = await generateTokenKey()
const { publicKey } = pair
const secrets = () => ({
  nonce: randomBytes(32),
  salt: randomBytes(48),
  blind: (toInteger(randomBytes(300)) % (publicKey.n - 2n)) + 1n,
})
const challenge = gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' })

function issue(of = challenge) {
  const pending = requestToken({ publicKey, challengeDigest: challengeDigest(of), secrets: secrets() })
  return finalizeToken(pending, issueToken([pair], pending.request))
}

describe('issuance of token type 0x0002', () => {
  function follow(vector: Record<keyof typeof rfc9578, string>) {
    const privateKey = createPrivateKey(Buffer.from(vector.privateKeyPem, 'hex').toString('utf8'))
    const der = privateKey.export({ format: 'der', type: 'pkcs8' })
    // The appendix has its key as RSASSA-PSS or as plain RSA; ours are plain.
    const keys = readPrivateKey(der)
    const key = readTokenKey(hex(vector.publicKey))
    expect(keys.publicKey.spki).toEqual(key.spki)
    const digest = challengeDigest(decodeTokenChallenge(hex(vector.tokenChallenge)))
    const given = { nonce: hex(vector.nonce), salt: hex(vector.salt), blind: toInteger(hex(vector.blind)) }
    const pending = requestToken({ publicKey: key, challengeDigest: digest, secrets: given })
    expect(Buffer.from(encodeTokenRequest(pending.request)).toString('hex')).toBe(vector.tokenRequest)
    const signature = issueToken([keys], decodeTokenRequest(hex(vector.tokenRequest)))
    expect(Buffer.from(encodeTokenResponse(signature)).toString('hex')).toBe(vector.tokenResponse)
    const token = finalizeToken(pending, decodeTokenResponse(hex(vector.tokenResponse)))
    expect(Buffer.from(encodeToken(token)).toString('hex')).toBe(vector.token)
    const redeem = createRedeemer([
      { publicKey: key, challenge: decodeTokenChallenge(hex(vector.tokenChallenge)) },
    ])
    expect(redeem(hex(vector.token)).nullifier).toEqual(nullifierOf(token))
  }

  it('gives the published values of RFC 9578 appendix A.2', () => {
    follow(rfc9578)
  })

  const all = sampleFile('conformance/pub_verif_rfc9578.go.json')
  it.runIf(all.exists)(`gives those of every other vector (${all.title})`, () => {
    const vectors: Record<string, string>[] = JSON.parse(readFileSync(all.path, 'utf8'))
    expect(vectors.length).toBeGreaterThan(3)
    for (const { skS = '', pkS = '', nonce = '', salt = '', blind = '', token = '', ...more } of vectors)
      follow({
        privateKeyPem: skS,
        publicKey: pkS,
        nonce,
        salt,
        blind,
        token,
        tokenChallenge: more.token_challenge ?? '',
        tokenRequest: more.token_request ?? '',
        tokenResponse: more.token_response ?? '',
      })
  })

  it('refuses a request for a key that it has not', () => {
    const { request } = requestToken({ publicKey, challengeDigest: randomBytes(32), secrets: secrets() })
    const other = { ...request, truncatedTokenKeyId: request.truncatedTokenKeyId ^ 1 }
    expect(() => issueToken([pair], other)).toThrow(code('TOKEN_KEY_UNKNOWN'))
  })

  it('notices an issuer that signs with a key of its own for this client', async () => {
    const marked = await generateTokenKey()
    const pending = requestToken({
      publicKey,
      challengeDigest: challengeDigest(challenge),
      secrets: secrets(),
    })
    const request = { ...pending.request, truncatedTokenKeyId: marked.publicKey.id[31] ?? 0 }
    const attempt = () => finalizeToken(pending, issueToken([marked], request))
    // Half of all keys are smaller than the message: then it is the issuer that refuses.
    expect(attempt).toThrow(TokenError)
  })
})

describe('interoperation with privacypass-ts', () => {
  const algorithm = { name: 'RSA-PSS', hash: 'SHA-384' }
  const subtle = webcrypto.subtle
  const standard = createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' })
  const importPublic = () => subtle.importKey('spki', standard, algorithm, true, ['verify'])
  const oracleChallenge = () => new OracleChallenge(2, 'mint.example', new Uint8Array(0), ['gateway.example'])

  it('has its client take our tokens', async () => {
    expect(oracleChallenge().serialize()).toEqual(Uint8Array.from(encodeTokenChallenge(challenge)))
    const client = new publicVerif.Client(publicVerif.BlindRSAMode.PSS)
    const request = await client.createTokenRequest(oracleChallenge(), Uint8Array.from(publicKey.spki))
    const response = encodeTokenResponse(issueToken([pair], decodeTokenRequest(request.serialize())))
    const token = await client.finalize(client.deserializeTokenResponse(response))
    const redeemed = createRedeemer([{ publicKey, challenge }])(token.serialize())
    expect(redeemed.tokenKeyId).toEqual(Uint8Array.from(publicKey.id))
  })

  it('has its issuer sign our requests, and its origin take the token', async () => {
    const privateKey = await subtle.importKey('pkcs8', Buffer.from(exportPrivateKey(pair)), algorithm, true, [
      'sign',
    ])
    const issuer = new publicVerif.Issuer(
      publicVerif.BlindRSAMode.PSS,
      'mint.example',
      privateKey,
      await importPublic(),
    )
    expect(await issuer.tokenKeyID()).toEqual(Uint8Array.from(publicKey.id))
    const pending = requestToken({
      publicKey,
      challengeDigest: challengeDigest(challenge),
      secrets: secrets(),
    })
    const bytes = Uint8Array.from(encodeTokenRequest(pending.request))
    const response = await issuer.issue(publicVerif.TokenRequest.deserialize(TOKEN_TYPES.BLIND_RSA, bytes))
    const token = encodeToken(finalizeToken(pending, decodeTokenResponse(response.serialize())))
    const origin = new publicVerif.Origin(publicVerif.BlindRSAMode.PSS, ['gateway.example'])
    const theirs = OracleToken.deserialize(TOKEN_TYPES.BLIND_RSA, Uint8Array.from(token))
    expect(await origin.verify(theirs, await importPublic())).toBe(true)
  })
})

describe('redemption', () => {
  const redeem = createRedeemer([{ publicKey, challenge }])

  it('takes a token of its own gateway and gives it one nullifier', () => {
    const token = issue()
    expect(redeem(encodeToken(token)).nullifier).toEqual(nullifierOf(token))
  })

  it('refuses a token of another gateway, issuer or key', async () => {
    const elsewhere = issue(gatewayChallenge({ issuer: 'mint.example', gateway: 'other.example' }))
    expect(() => redeem(encodeToken(elsewhere))).toThrow(code('TOKEN_CHALLENGE'))
    const other = createRedeemer([{ publicKey: (await generateTokenKey()).publicKey, challenge }])
    expect(() => other(encodeToken(issue()))).toThrow(code('TOKEN_KEY_UNKNOWN'))
  })

  it('refuses a token with any bit flipped, of any other length, and noise', () => {
    const bytes = encodeToken(issue())
    expect(bytes).toHaveLength(TOKEN_LENGTH)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
        const flipped = bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
        expect(() => redeem(flipped)).toThrow(TokenError)
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(() => redeem(bytes.slice(0, length))).toThrow(code('TOKEN_FORMAT'))
      }),
    )
    expect(() => redeem(Buffer.concat([bytes, Uint8Array.of(0)]))).toThrow(code('TOKEN_FORMAT'))
  })

  it('counts two signatures over one nonce as one token', () => {
    const base = secrets()
    const tokens = [1, 2].map(() => {
      const pending = requestToken({
        publicKey,
        challengeDigest: challengeDigest(challenge),
        secrets: { ...base, salt: randomBytes(48) },
      })
      return finalizeToken(pending, issueToken([pair], pending.request))
    })
    const [first, second] = tokens.map((token) => redeem(encodeToken(token)).nullifier)
    expect(tokens[0]?.authenticator).not.toEqual(tokens[1]?.authenticator)
    expect(first).toEqual(second)
  })
})

describe('codecs', () => {
  // RFC 9577 appendix A.1, vectors 1 to 4: redemption context, origin_info, the digest in token_authenticator_input.
  const context = '476ac2c935f458e9b2d7af32dacfbd22dd6023ef5887a789f1abe004e79bb5bb'
  const nonce = 'e01978182c469e5e026d66558ee186568614f235e41ef7e2378e6f202688abab'
  const keyId = 'ca572f8982a9ca248a3056186322d93ca147266121ddeb5632c07f1f71cd2708'
  it.each([
    [context, ['origin.example'], '8e1d5518ec82964255526efd8f9db88205a8ddd3ffb1db298fcc3ad36c42388f'],
    ['', ['origin.example'], '11e15c91a7c2ad02abd66645802373db1d823bea80f08d452541fb2b62b5898b'],
    ['', [], 'b741ec1b6fd05f1e95f8982906aec1612896d9ca97d53eef94ad3c9fe023f7a4'],
    [context, [], 'b85fb5bc06edeb0e8e8bdb5b3bea8c4fa40837c82e8bcaf5882c81e14817ea18'],
  ])(
    'give the published values of RFC 9577 appendix A.1 (context %s, origins %s)',
    (redemption, originInfo, digest) => {
      const given = {
        tokenType: 2,
        issuerName: 'issuer.example',
        redemptionContext: hex(redemption),
        originInfo,
      }
      const input = { nonce: hex(nonce), challengeDigest: challengeDigest(given), tokenKeyId: hex(keyId) }
      expect(Buffer.from(encodeAuthenticatorInput(input)).toString('hex')).toBe(
        `0002${nonce}${digest}${keyId}`,
      )
      expect(decodeTokenChallenge(encodeTokenChallenge(given))).toEqual(given)
    },
  )

  const name = fc.stringMatching(/^[a-z0-9.-]{1,40}$/)
  it('bring every challenge back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 65_535 }),
        name,
        fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ minLength: 32, maxLength: 32 })),
        fc.array(name, { maxLength: 5 }),
        (tokenType, issuerName, redemptionContext, originInfo) => {
          const given = { tokenType, issuerName, redemptionContext, originInfo }
          expect(decodeTokenChallenge(encodeTokenChallenge(given))).toEqual(given)
        },
      ),
    )
  })

  it.each([
    [
      'challenge',
      decodeTokenChallenge,
      (bytes: Uint8Array) => encodeTokenChallenge(decodeTokenChallenge(bytes)),
    ],
    ['token', decodeToken, (bytes: Uint8Array) => encodeToken(decodeToken(bytes))],
    ['request', decodeTokenRequest, (bytes: Uint8Array) => encodeTokenRequest(decodeTokenRequest(bytes))],
    ['response', decodeTokenResponse, (bytes: Uint8Array) => encodeTokenResponse(decodeTokenResponse(bytes))],
  ])('read a %s as the one that was written, or refuse it', (_, decode, again) => {
    const seeds = [
      hex(rfc9578.tokenChallenge),
      hex(rfc9578.token),
      hex(rfc9578.tokenRequest),
      hex(rfc9578.tokenResponse),
    ]
    const noise = fc.uint8Array({ maxLength: 2_000 })
    const edited = fc
      .tuple(fc.constantFrom(...seeds), fc.nat(3_000), fc.nat(255), fc.nat(400))
      .map(([bytes, at, xor, cut]) =>
        bytes.map((byte, i) => (i === at % bytes.length ? byte ^ xor : byte)).slice(0, cut),
      )
    fc.assert(
      fc.property(fc.oneof(noise, edited, fc.constantFrom(...seeds)), (bytes) => {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'TOKEN_FORMAT' })
          return
        }
        expect(Buffer.from(again(bytes))).toEqual(Buffer.from(bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('refuse to write what they would not read', () => {
    const bad = [
      { ...challenge, issuerName: '' },
      { ...challenge, issuerName: 'müller.example' },
      { ...challenge, issuerName: 'a'.repeat(65_536) },
      { ...challenge, originInfo: ['a,b'] },
      { ...challenge, originInfo: [''] },
      { ...challenge, redemptionContext: new Uint8Array(16) },
      { ...challenge, tokenType: 65_536 },
    ]
    for (const each of bad) expect(() => encodeTokenChallenge(each)).toThrow(code('TOKEN_FORMAT'))
    expect(() => gatewayChallenge({ issuer: 'a', gateway: '' })).toThrow(code('TOKEN_FORMAT'))
  })

  it('know whose challenge it is, in whatever case', () => {
    expect(isForOrigin(challenge, 'Gateway.Example')).toBe(true)
    expect(isForOrigin(challenge, 'other.example')).toBe(false)
    expect(isForOrigin({ ...challenge, originInfo: [] }, 'other.example')).toBe(true)
  })
})
