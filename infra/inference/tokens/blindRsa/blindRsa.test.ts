import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { RSABSSA } from '@cloudflare/blindrsa-ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sampleFile } from '../../../../test/sampleData.ts'
import { blind } from './blind.ts'
import { blindSign } from './blindSign.ts'
import { finalize, verify } from './finalize.ts'
import { modInverse, modPow, toInteger, toOctets } from './integers.ts'
import { exportPrivateKey, generateTokenKey, publicKeyOf, readPrivateKey, readTokenKey } from './keys.ts'
import { rfc9474 } from './rfc9474.fixture.ts'

type Vector = typeof rfc9474
const bytes = (hex: string) => {
  const digits = hex.replace(/^0x/, '')
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
}
const int = (hex: string) => toInteger(bytes(hex))
const pair = await generateTokenKey()
const { publicKey } = pair
const randomBlind = () => (toInteger(randomBytes(300)) % (publicKey.n - 2n)) + 1n

/** Signs and checks as an RFC 9474 vector says, with the private key rebuilt from its primes. */
function follow(vector: Vector, saltLength: number) {
  const [n, p, q, d] = [int(vector.n), int(vector.p), int(vector.q), int(vector.d)]
  const key = publicKeyOf(bytes(vector.n), bytes(vector.e))
  const part = (value: bigint, length = key.length / 2) =>
    Buffer.from(toOctets(value, length)).toString('base64url')
  const privateKey = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'RSA',
      n: part(n, key.length),
      e: bytes(vector.e).toString('base64url'),
      d: part(d, key.length),
      p: part(p),
      q: part(q),
      dp: part(d % (p - 1n)),
      dq: part(d % (q - 1n)),
      qi: part(modInverse(q, p) ?? 0n),
    },
  })
  const message = bytes(vector.input_msg)
  const inverse = int(vector.inv)
  const r = modInverse(inverse, n) ?? 0n
  const made = blind({ publicKey: key, message, salt: bytes(vector.salt), blind: r })
  expect(made.inverse).toBe(inverse)
  expect(Buffer.from(made.blindedMessage)).toEqual(bytes(vector.blinded_msg))
  const blindSignature = blindSign({ publicKey: key, privateKey }, made.blindedMessage)
  expect(Buffer.from(blindSignature)).toEqual(bytes(vector.blind_sig))
  const signature = finalize({ publicKey: key, message, blindSignature, inverse, saltLength })
  expect(Buffer.from(signature)).toEqual(bytes(vector.sig))
}

describe('RSABSSA-SHA384-PSS-Deterministic', () => {
  it('gives the published values of RFC 9474 appendix A.3', () => {
    follow(rfc9474, 48)
  })

  const all = sampleFile('conformance/test_vectors_rfc9474.json')
  it.runIf(all.exists)(`gives those of the other variants (${all.title})`, () => {
    const vectors: (Vector & { name: string })[] = JSON.parse(readFileSync(all.path, 'utf8'))
    expect(vectors).toHaveLength(4)
    // What Randomized adds is a prefix, which the vectors' input message has.
    for (const vector of vectors) follow(vector, vector.name.includes('PSSZERO') ? 0 : 48)
  })

  const oracle = RSABSSA.SHA384.PSS.Deterministic()
  const algorithm = { name: 'RSA-PSS', hash: 'SHA-384' }
  const imported = async () => ({
    publicKey: await webcrypto.subtle.importKey(
      'spki',
      createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' }),
      algorithm,
      true,
      ['verify'],
    ),
    privateKey: await webcrypto.subtle.importKey(
      'pkcs8',
      Buffer.from(exportPrivateKey(pair)),
      algorithm,
      true,
      ['sign'],
    ),
  })

  it('signs what blindrsa-ts blinds, and it takes the signature', async () => {
    const key = await imported()
    const message = randomBytes(98)
    const { blindedMsg, inv } = await oracle.blind(key.publicKey, message)
    const signature = await oracle.finalize(key.publicKey, message, blindSign(pair, blindedMsg), inv)
    expect(verify({ publicKey, message, signature })).toBe(true)
  })

  it('blinds what blindrsa-ts signs, and takes its signature', async () => {
    const key = await imported()
    const message = randomBytes(98)
    const { blindedMessage, inverse } = blind({
      publicKey,
      message,
      salt: randomBytes(48),
      blind: randomBlind(),
    })
    const blindSignature = await oracle.blindSign(key.privateKey, blindedMessage)
    expect(blindSign(pair, blindedMessage)).toEqual(Buffer.from(blindSignature))
    const signature = finalize({ publicKey, message, blindSignature, inverse })
    expect(await oracle.verify(key.publicKey, signature, message)).toBe(true)
  })
})

describe('blindSign', () => {
  it.each([
    ['nothing', new Uint8Array(0)],
    ['a byte too few', randomBytes(255)],
    ['a byte too many', new Uint8Array(257)],
    ['0', new Uint8Array(256)],
    ['1', toOctets(1n, 256)],
    ['n - 1', toOctets(publicKey.n - 1n, 256)],
    ['n', toOctets(publicKey.n, 256)],
    ['n + 2', toOctets(publicKey.n + 2n, 256)],
    ['the largest', new Uint8Array(256).fill(255)],
  ])('refuses %s', (_, message) => {
    expect(() => blindSign(pair, message)).toThrow(expect.objectContaining({ code: 'BLINDED_MESSAGE' }))
  })

  it('signs 2 and n - 2, the ends of the range', () => {
    for (const m of [2n, publicKey.n - 2n])
      expect(modPow(toInteger(blindSign(pair, toOctets(m, 256))), publicKey.e, publicKey.n)).toBe(m)
  })

  it('withholds a signature that does not verify', async () => {
    const other = await generateTokenKey()
    const mixed = { publicKey, privateKey: other.privateKey }
    expect(() => blindSign(mixed, toOctets(12_345n, 256))).toThrow(
      expect.objectContaining({ code: 'SIGNING_FAILED' }),
    )
  })
})

describe('finalize and verify', () => {
  const message = randomBytes(98)
  const { blindedMessage, inverse } = blind({
    publicKey,
    message,
    salt: randomBytes(48),
    blind: randomBlind(),
  })
  const blindSignature = blindSign(pair, blindedMessage)
  const signature = finalize({ publicKey, message, blindSignature, inverse })

  it('refuse every flipped bit and every other length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2047 }), (bit) => {
        const flip = (from: Uint8Array) =>
          from.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
        expect(verify({ publicKey, message, signature: flip(signature) })).toBe(false)
        expect(() => finalize({ publicKey, message, blindSignature: flip(blindSignature), inverse })).toThrow(
          expect.objectContaining({ code: 'TOKEN_SIGNATURE' }),
        )
      }),
      { numRuns: 40 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => {
        expect(verify({ publicKey, message, signature: noise })).toBe(false)
      }),
    )
  })

  it('refuse another key and a signature that is beyond the modulus', async () => {
    const other = await generateTokenKey()
    expect(verify({ publicKey: other.publicKey, message, signature })).toBe(false)
    const beyond = toOctets(toInteger(signature) + publicKey.n, 257)
    expect(verify({ publicKey, message, signature: beyond })).toBe(false)
    expect(verify({ publicKey, message, signature: new Uint8Array(256).fill(255) })).toBe(false)
  })

  it('refuse a blind that is none', () => {
    for (const r of [0n, publicKey.n, publicKey.n + 5n, -1n])
      expect(() => blind({ publicKey, message, salt: randomBytes(48), blind: r })).toThrow(
        expect.objectContaining({ code: 'TOKEN_KEY' }),
      )
  })
})

describe('keys', () => {
  it('come back as they were written', () => {
    expect(readTokenKey(publicKey.spki).id).toEqual(publicKey.id)
    expect(readPrivateKey(exportPrivateKey(pair)).publicKey.id).toEqual(publicKey.id)
    expect(publicKey.spki).toHaveLength(342)
  })

  it('have one encoding: any other bytes around the modulus are refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 341 }), fc.integer({ min: 1, max: 255 }), (at, xor) => {
        const edited = publicKey.spki.map((byte, index) => (index === at ? byte ^ xor : byte))
        const inModulus = at >= 81 && at < 337
        if (!inModulus)
          expect(() => readTokenKey(edited)).toThrow(expect.objectContaining({ code: 'TOKEN_KEY' }))
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (noise) => {
        expect(() => readTokenKey(noise)).toThrow(expect.objectContaining({ code: 'TOKEN_KEY' }))
        expect(() => readPrivateKey(noise)).toThrow(expect.objectContaining({ code: 'TOKEN_KEY' }))
      }),
    )
  })

  it('are refused with an even modulus, a short one, and as OpenSSL writes them', () => {
    const even = publicKey.spki.slice()
    even[336] = (even[336] ?? 0) & 0xfe
    const short = publicKey.spki.slice()
    short[81] = 0x7f
    const standard = createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' })
    for (const spki of [even, short, standard])
      expect(() => readTokenKey(spki)).toThrow(expect.objectContaining({ code: 'TOKEN_KEY' }))
  })
})

/** The greatest common divisor. */
function gcd(a: bigint, b: bigint): bigint {
  while (b > 0n) {
    const rest = a % b
    a = b
    b = rest
  }
  return a
}

describe('integers', () => {
  const positive = fc.bigInt({ min: 1n, max: 1n << 512n })

  it('invert what is coprime, and nothing else', () => {
    fc.assert(
      fc.property(positive, fc.bigInt({ min: 2n, max: 1n << 512n }), (a, m) => {
        const inverse = modInverse(a, m)
        if (gcd(m, a) !== 1n) expect(inverse).toBeNull()
        else expect((a * (inverse ?? 0n)) % m).toBe(1n)
      }),
    )
  })

  it('raise to a power as repeated multiplication does', () => {
    fc.assert(
      fc.property(positive, fc.integer({ min: 0, max: 40 }), positive, (base, exponent, m) => {
        let product = 1n % m
        for (let at = 0; at < exponent; at++) product = (product * base) % m
        expect(modPow(base, BigInt(exponent), m)).toBe(product)
      }),
    )
  })

  it('survive the way through bytes', () => {
    fc.assert(
      fc.property(positive, (value) => {
        expect(toInteger(toOctets(value, 65))).toBe(value)
      }),
    )
  })
})
