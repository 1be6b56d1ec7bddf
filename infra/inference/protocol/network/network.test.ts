import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RialtoError } from '../../../../runtime/core/errors.ts'
import { nodeHpke } from '../hpke/nodeHpke.ts'
import { sealChunkedRequest } from '../ohttp/chunked.ts'
import { encodeKeyConfigs } from '../ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../ohttp/keys.ts'
import { requestBucket, requestBuckets } from '../padding.ts'
import { authorizationLifetime, checkAuthorization, createAuthorization } from './authorization.ts'
import { type Directory, digestOf, readDirectory, signDirectory } from './directory.ts'
import {
  exportIdentityKey,
  generateIdentity,
  importIdentityKey,
  readIdentity,
  sign,
  verify,
} from './identity.ts'
import { readNodeDescription, sealingKey, signNodeDescription } from './nodeDescription.ts'
import { openIdentity } from './openIdentity.ts'
import {
  decodeChange,
  decodePaidRequest,
  decodeReclaim,
  encodeChange,
  encodePaidRequest,
  encodeReclaim,
  tokenLength,
  tokenRequestLength,
  tokenResponseLength,
} from './payment.ts'
import { affordableCompletion, costOf } from './price.ts'
import { isPrivacy, privacyWords, satisfiesPrivacy } from './privacy.ts'
import { checkReceipt, createReceipt, decodeReceipt, encodeReceipt } from './receipt.ts'
import { sealedRequestLength, sealedRequestLengths, smallestGatewayBucket } from './sizes.ts'

const code = (value: string) => expect.objectContaining({ code: value })
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const many = (length: number, count: number) => Array.from({ length: count }, () => randomBytes(length))
const plain = (value: Uint8Array) => Buffer.from(value).toString('hex')

/** Flips one bit. */
const flipped = (value: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(value)
  copy[Math.floor(at / 8) % copy.length] = (copy[Math.floor(at / 8) % copy.length] ?? 0) ^ (1 << (at % 8))
  return copy
}

describe('privacy words', () => {
  it('are satisfied by themselves and by stronger ones alone', () => {
    for (const [asked, first] of privacyWords.entries())
      for (const [offered, second] of privacyWords.entries())
        expect(satisfiesPrivacy({ asked: first, offered: second })).toBe(offered <= asked)
  })

  it('are four', () => {
    expect(privacyWords.every(isPrivacy)).toBe(true)
    expect(['', 'Private', 'none', '__proto__'].some(isPrivacy)).toBe(false)
  })
})

describe('identities', () => {
  it('sign as RFC 8032 says', () => {
    // RFC 8032, section 7.1, test 2.
    const key = importIdentityKey(
      Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex'),
    )
    expect(plain(key.identity.bytes)).toBe('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
    expect(plain(sign(key, Uint8Array.of(0x72)))).toBe(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
        '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    )
  })

  it('come back from their seed and their text', () => {
    const key = generateIdentity()
    expect(importIdentityKey(exportIdentityKey(key)).identity.text).toBe(key.identity.text)
    const read = readIdentity(key.identity.text)
    expect(verify(read, Uint8Array.of(1), sign(key, Uint8Array.of(1)))).toBe(true)
    expect(verify(read, Uint8Array.of(2), sign(key, Uint8Array.of(1)))).toBe(false)
  })

  it.each(['', 'abc', `${'A'.repeat(42)}B`, 'A'.repeat(44), `${'A'.repeat(42)}=`])(
    'are not read from %j',
    (text) => {
      expect(() => readIdentity(text)).toThrow(code('NETWORK_IDENTITY'))
    },
  )

  it('are kept in a file for their owner alone, and are the same ones again', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'identity-')), 'deep', 'identity')
    const { identity } = await openIdentity(path)
    expect((await openIdentity(path)).identity.text).toBe(identity.text)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'utf8')).not.toContain(identity.text)
    await writeFile(path, 'nonsense')
    await expect(openIdentity(path)).rejects.toThrow(code('NETWORK_IDENTITY_FILE'))
  })
})

describe('prices', () => {
  it('round up, and a ceiling pays for what it says', () => {
    const amount = fc.nat(2_000_000)
    fc.assert(
      fc.property(
        amount,
        amount,
        fc.nat(200_000),
        fc.integer({ min: 1, max: 16 }),
        (a, b, prompt, ceiling) => {
          const price = { prompt: a % 5_000, completion: (b % 5_000) + 1 }
          const completion = affordableCompletion(price, { ceiling, prompt })
          if (completion < 0) expect(costOf(price, { prompt, completion: 0 })).toBeGreaterThan(ceiling)
          else {
            expect(costOf(price, { prompt, completion })).toBeLessThanOrEqual(ceiling)
            expect(costOf(price, { prompt, completion: completion + 1 })).toBeGreaterThan(ceiling)
          }
        },
      ),
    )
    expect(costOf({ prompt: 0, completion: 0 }, { prompt: 10, completion: 10 })).toBe(0)
    expect(affordableCompletion({ prompt: 0, completion: 0 }, { ceiling: 1, prompt: 1 })).toBe(Infinity)
  })
})

describe('payments', () => {
  it('come back as they were, with whatever they pay for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.uint8Array({ maxLength: 200 }),
        (count, innerRequest) => {
          const payment = {
            tokens: many(tokenLength, count),
            changeRequests: many(tokenRequestLength, count),
          }
          const decoded = decodePaidRequest(encodePaidRequest({ ...payment, innerRequest }))
          expect(decoded.tokens.map(plain)).toEqual(payment.tokens.map(plain))
          expect(decoded.changeRequests.map(plain)).toEqual(payment.changeRequests.map(plain))
          expect(plain(decoded.innerRequest)).toBe(plain(innerRequest))
          const innerRequestHash = randomBytes(32)
          const reclaim = decodeReclaim(encodeReclaim({ ...payment, innerRequestHash }))
          expect(plain(reclaim.innerRequestHash)).toBe(plain(innerRequestHash))
        },
      ),
      { numRuns: 20 },
    )
  })

  it('are refused in any other shape, and never crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (noise) => {
        for (const decode of [decodePaidRequest, decodeReclaim, decodeChange, decodeReceipt])
          try {
            decode(noise)
          } catch (error) {
            expect(error).toBeInstanceOf(RialtoError)
          }
      }),
    )
    for (const count of [0, 17])
      expect(() =>
        encodePaidRequest({
          tokens: many(tokenLength, count),
          changeRequests: many(tokenRequestLength, count),
          innerRequest: randomBytes(1),
        }),
      ).toThrow(code('WIRE_UNENCODABLE'))
  })

  it('have one length, however many tokens are paid and come back', () => {
    const paid = [1, 4, 16].map((count) => {
      const payment = { tokens: many(tokenLength, count), changeRequests: many(tokenRequestLength, count) }
      return encodePaidRequest({ ...payment, innerRequest: new Uint8Array(sealedRequestLength(2_048)) })
        .length
    })
    expect(new Set(paid).size).toBe(1)
    // The shortest one, with its head, is what all others are padded to.
    expect(requestBucket(paid[0] ?? 0)).toBe(smallestGatewayBucket)
    const lengths = [1, 4, 16].flatMap((most) =>
      [0, 1].map(
        (returned) => encodeChange({ paid: most, responses: many(tokenResponseLength, returned) }).length,
      ),
    )
    expect(new Set(lengths).size).toBe(1)
    const responses = many(tokenResponseLength, 3)
    const decoded = decodeChange(encodeChange({ paid: 4, responses }))
    expect(decoded.responses.map(plain)).toEqual(responses.map(plain))
    expect(decoded.paid).toBe(4)
    expect(() => encodeChange({ paid: 1, responses })).toThrow(code('WIRE_UNENCODABLE'))
  })
})

describe('receipts', () => {
  const node = generateIdentity()
  const innerRequestHash = randomBytes(32)
  const receipt = createReceipt(node, { ceiling: 4, used: 1, model: 'm', innerRequestHash })

  it('verify for their node, request and content alone', () => {
    const decoded = decodeReceipt(encodeReceipt(receipt))
    expect(checkReceipt(decoded, { node: node.identity, innerRequestHash })).toBe(true)
    expect(checkReceipt(decoded, { node: generateIdentity().identity, innerRequestHash })).toBe(false)
    expect(checkReceipt(decoded, { node: node.identity, innerRequestHash: randomBytes(32) })).toBe(false)
  })

  it('hold with no bit changed', () => {
    const encoded = encodeReceipt(receipt)
    fc.assert(
      fc.property(fc.nat(encoded.length * 8 - 1), (at) => {
        let holds = false
        try {
          holds = checkReceipt(decodeReceipt(flipped(encoded, at)), { node: node.identity, innerRequestHash })
        } catch (error) {
          expect(error).toBeInstanceOf(RialtoError)
        }
        expect(holds).toBe(false)
      }),
    )
  })

  it('charge no more than was paid, even when signed', () => {
    const greedy = createReceipt(node, { ceiling: 1, used: 2, model: 'm', innerRequestHash })
    expect(checkReceipt(greedy, { node: node.identity, innerRequestHash })).toBe(false)
  })
})

describe('authorizations', () => {
  const gateway = generateIdentity()
  const node = generateIdentity().identity
  const innerRequestHash = randomBytes(32)
  const now = 1_800_000_000_000
  const value = createAuthorization(gateway, { ceiling: 4, issuedAt: now }, { node, innerRequestHash })
  const check = (text: string, changes: object = {}) =>
    checkAuthorization(text, { gateways: [gateway.identity], node, innerRequestHash, now, ...changes })

  it('hold for one node, request, gateway and minute', () => {
    expect(check(value)).toMatchObject({ ceiling: 4, issuedAt: now })
    expect(check(value, { node: generateIdentity().identity })).toBeUndefined()
    expect(check(value, { innerRequestHash: randomBytes(32) })).toBeUndefined()
    expect(check(value, { gateways: [generateIdentity().identity] })).toBeUndefined()
    for (const late of [authorizationLifetime + 1, -authorizationLifetime - 1])
      expect(check(value, { now: now + late })).toBeUndefined()
  })

  it('hold with no bit changed', () => {
    const raw = Buffer.from(value, 'base64url')
    fc.assert(
      fc.property(fc.nat(raw.length * 8 - 1), (at) => {
        expect(check(Buffer.from(flipped(raw, at)).toString('base64url'))).toBeUndefined()
      }),
    )
  })

  it('are refused in any other shape', () => {
    for (const text of ['', 'AA', `${value}AA`, '%%%']) expect(() => check(text)).toThrow(RialtoError)
  })
})

describe('documents', async () => {
  const gateway = generateIdentity()
  const nodeKey = generateIdentity()
  const ohttp = await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair())
  const keys = Buffer.from(encodeKeyConfigs([keyConfigOf(ohttp)])).toString('base64')
  const description = {
    version: 1 as const,
    name: 'node-a',
    operator: 'someone',
    keys,
    notBefore: 1,
    notAfter: 2_000_000_000,
    models: [
      {
        id: 'a/model:1b',
        privacy: 'private' as const,
        context: 4_096,
        price: { prompt: 1, completion: 2 },
        serves: ['chat' as const],
      },
    ],
  }
  const node = await signNodeDescription(nodeKey, description)
  const directory: Directory = {
    version: 1,
    gateway: 'g',
    epoch: 3,
    notBefore: 1,
    notAfter: 2_000_000_000,
    keys,
    mints: [{ name: 'm', url: 'http://127.0.0.1:1', keys: [{ key: 'AAAA', notBefore: 1, notAfter: 2 }] }],
    changeKeys: [{ key: 'AAAA', notBefore: 1, notAfter: 2 }],
    ceilings: [1, 4, 16],
    nodes: [node],
  }
  const named = { name: 'g', identity: gateway.identity }

  it('are read by whoever knows who signed them', async () => {
    const document = await signDirectory(gateway, directory)
    const read = await readDirectory(document, named)
    expect(read.directory).toEqual(directory)
    expect(read.digest).toBe(digestOf(document))
    expect(read.nodes[0]?.identity.text).toBe(nodeKey.identity.text)
    expect((await sealingKey(nodeHpke, read.nodes[0]?.keys ?? new Uint8Array())).keyId).toBe(1)
  })

  it('are refused from anybody else, of another kind, or changed', async () => {
    const malformed = code('WIRE_MALFORMED')
    const document = await signDirectory(gateway, directory)
    const stranger = { name: 'g', identity: generateIdentity().identity }
    await expect(readDirectory(document, stranger)).rejects.toThrow(malformed)
    await expect(readDirectory(document, { ...named, name: 'other' })).rejects.toThrow(malformed)
    await expect(readDirectory(node, { name: 'g', identity: nodeKey.identity })).rejects.toThrow(malformed)
    await expect(readNodeDescription(document)).rejects.toThrow(RialtoError)
    const twice = await signDirectory(gateway, { ...directory, nodes: [node, node] })
    await expect(readDirectory(twice, named)).rejects.toThrow(malformed)
    await fc.assert(
      fc.asyncProperty(
        fc.nat(document.length - 1),
        fc.string({ minLength: 1, maxLength: 1 }),
        async (at, by) => {
          const changed = document.slice(0, at) + by + document.slice(at + 1)
          fc.pre(changed !== document)
          await expect(readDirectory(changed, named)).rejects.toThrow(RialtoError)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('a node cannot promise what only one’s own machine can', async () => {
    const models = [{ ...description.models[0], privacy: 'local' }]
    await expect(
      (async () => signNodeDescription(nodeKey, { ...description, models } as never))(),
    ).rejects.toThrow(/privacy/)
  })
})

describe('sizes', () => {
  it('are those of what is really sealed', async () => {
    const key = await createGatewayKey(nodeHpke, 0, await nodeHpke.generateKeyPair())
    for (const length of [0, 1, 2_048, 16_384, 16_385, 32_768, 100_000]) {
      const { sealer } = await sealChunkedRequest(key)
      expect((await sealer.end(new Uint8Array(length))).length).toBe(sealedRequestLength(length))
    }
    expect(sealedRequestLengths.size).toBe(requestBuckets.length)
  })
})

describe('bytes of any length', () => {
  it('are refused where one is expected', () => {
    fc.assert(
      fc.property(bytes(31), (hash) => {
        expect(() =>
          encodeReclaim({
            tokens: many(tokenLength, 1),
            changeRequests: many(tokenRequestLength, 1),
            innerRequestHash: hash,
          }),
        ).toThrow(code('WIRE_UNENCODABLE'))
      }),
      { numRuns: 5 },
    )
  })
})
