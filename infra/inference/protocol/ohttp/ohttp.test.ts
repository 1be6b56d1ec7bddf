import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sampleFile } from '../../../../test/sampleData.ts'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import {
  DecryptionError,
  MalformedMessageError,
  ReplayedRequestError,
  ReplaySetFullError,
  TruncatedMessageError,
  UnencodableMessageError,
  UnknownKeyError,
  UnsupportedKeyConfigError,
} from '../errors.ts'
import { flipBit, fromHex, toHex, utf8 } from '../hex.fixture.ts'
import { nodeHpke } from '../hpke/nodeHpke.ts'
import type { HpkeSuite } from '../hpke/suite.ts'
import { webHpke } from '../hpke/webHpke.ts'
import {
  decapsulateRequest,
  decapsulateResponse,
  encapsulateRequest,
  encapsulateResponse,
} from './encapsulate.ts'
import {
  decodeKeyConfig,
  decodeKeyConfigs,
  encodeKeyConfig,
  encodeKeyConfigs,
  selectKeyConfig,
} from './keyConfig.ts'
import { createGatewayKey, createOhttpKey, keyConfigOf } from './keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from './mediaTypes.ts'
import { ReplaySet } from './replay.ts'

/** RFC 9458, appendix A. */
const rfc9458 = {
  skR: '3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a',
  keyConfig: '01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003',
  request: '00034745540568747470730b6578616d706c652e636f6d012f',
  skE: 'bc51d5e930bda26589890ac7032f70ad12e4ecb37abb1b65b1256c9c48999c73',
  encapsulatedRequest:
    '010020000100014b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad19dec96c208b4726374e469135906992e1268c594' +
    'd2a10c695d858c40a026e7965e7d86b83dd440b2c0185204b4d63525',
  responseNonce: 'c789e7151fcba46158ca84b04464910d',
  response: '0140c8',
  encapsulatedResponse: 'c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd',
}

const suites: readonly (readonly [string, HpkeSuite])[] = [
  ['node', nodeHpke],
  ['web', webHpke],
]

async function gatewayWith(suite: HpkeSuite, ...keyIds: number[]) {
  const keys = await Promise.all(
    keyIds.map(async (keyId) => createGatewayKey(suite, keyId, await suite.generateKeyPair())),
  )
  return new Map(keys.map((key) => [key.keyId, key]))
}

describe.each(suites)('Oblivious HTTP on %s', (_, suite) => {
  it('passes RFC 9458, appendix A', async () => {
    const config = decodeKeyConfig(fromHex(rfc9458.keyConfig))
    const key = await createOhttpKey(suite, selectKeyConfig(config === undefined ? [] : [config]))
    const ephemeral = await suite.importPrivateKey(fromHex(rfc9458.skE))
    const { message, exchange } = await encapsulateRequest(key, fromHex(rfc9458.request), ephemeral)
    expect(toHex(message)).toBe(rfc9458.encapsulatedRequest)

    const own = await createGatewayKey(suite, 1, await suite.importPrivateKey(fromHex(rfc9458.skR)))
    const received = await decapsulateRequest(new Map([[1, own]]), message)
    expect(toHex(received.request)).toBe(rfc9458.request)
    expect(received.key).toBe(own)

    const nonce = fromHex(rfc9458.responseNonce)
    const response = await encapsulateResponse(received.exchange, fromHex(rfc9458.response), nonce)
    expect(toHex(response)).toBe(rfc9458.encapsulatedResponse)
    expect(toHex(await decapsulateResponse(exchange, response))).toBe(rfc9458.response)
  })

  it('refuses what is sealed for another key, and says nothing else', async () => {
    const keys = await gatewayWith(suite, 1, 2)
    const [first, second] = [...keys.values()]
    if (first === undefined || second === undefined) throw new TypeError('two keys were made')
    const key = await createOhttpKey(suite, keyConfigOf(first))
    const { message } = await encapsulateRequest(key, utf8('q'))
    await expect(decapsulateRequest(new Map([[2, second]]), message)).rejects.toThrow(UnknownKeyError)
    const otherSuite = flipBit(message, 6 * 8)
    await expect(decapsulateRequest(keys, otherSuite)).rejects.toThrow(UnknownKeyError)
    await expect(decapsulateRequest(keys, message.subarray(0, 38))).rejects.toThrow(TruncatedMessageError)
    await expect(
      decapsulateRequest(new Map([[1, { ...second, keyId: 1, header: first.header }]]), message),
    ).rejects.toThrow(DecryptionError)
  })

  it('seals each message anew', async () => {
    const [own] = (await gatewayWith(suite, 0)).values()
    if (own === undefined) throw new TypeError('a key was made')
    const key = await createOhttpKey(suite, keyConfigOf(own))
    const [one, two] = [
      await encapsulateRequest(key, utf8('same')),
      await encapsulateRequest(key, utf8('same')),
    ]
    expect(one.message).not.toEqual(two.message)
    const answer = await encapsulateResponse(one.exchange, utf8('a'))
    expect(await encapsulateResponse(one.exchange, utf8('a'))).not.toEqual(answer)
    await expect(decapsulateResponse(two.exchange, answer)).rejects.toThrow(DecryptionError)
    await expect(encapsulateResponse(one.exchange, utf8('a'), new Uint8Array(12))).rejects.toThrow('16 bytes')
  })
})

describe('between platforms', () => {
  it('requests and responses pass both ways; changed or cut ones do not open', async () => {
    for (const [client, server] of [
      [nodeHpke, webHpke],
      [webHpke, nodeHpke],
      [nodeHpke, nodeHpke],
    ] as const) {
      const keys = await gatewayWith(server, 7)
      const [own] = keys.values()
      if (own === undefined) throw new TypeError('a key was made')
      const key = await createOhttpKey(client, keyConfigOf(own))
      await fc.assert(
        fc.asyncProperty(fc.uint8Array(), fc.uint8Array(), fc.nat(), async (question, answer, at) => {
          const { message, exchange } = await encapsulateRequest(key, question)
          const received = await decapsulateRequest(keys, message)
          const response = await encapsulateResponse(received.exchange, answer)
          expect(received.request).toEqual(question)
          expect(await decapsulateResponse(exchange, response)).toEqual(answer)

          const refused = { code: expect.stringMatching(/^(WIRE_DECRYPTION|WIRE_TRUNCATED|OHTTP_KEY)$/) }
          const cut = message.subarray(0, at % message.length)
          await expect(decapsulateRequest(keys, cut)).rejects.toMatchObject(refused)
          await expect(
            decapsulateRequest(keys, flipBit(message, at % (message.length * 8))),
          ).rejects.toMatchObject(refused)
          await expect(decapsulateRequest(keys, concatBytes(message, Uint8Array.of(at)))).rejects.toThrow(
            DecryptionError,
          )
          await expect(
            decapsulateResponse(exchange, response.subarray(0, at % response.length)),
          ).rejects.toMatchObject(refused)
          await expect(
            decapsulateResponse(exchange, flipBit(response, at % (response.length * 8))),
          ).rejects.toThrow(DecryptionError)
        }),
        { numRuns: 25 },
      )
    }
  })
})

describe('key configurations', () => {
  const publicKey = new Uint8Array(32).fill(9)
  const supported = { kdfId: 1, aeadId: 1 }
  const otherKem = fromHex('0007 05 0010 aabbccdd')

  it('are read and written as in RFC 9458, appendix A', () => {
    const config = decodeKeyConfig(fromHex(rfc9458.keyConfig))
    expect(config?.algorithms).toEqual([supported, { kdfId: 1, aeadId: 3 }])
    expect(config && toHex(encodeKeyConfig(config))).toBe(rfc9458.keyConfig)
  })

  it('come in collections, of which other KEMs are left out', () => {
    const algorithm = fc.record({ kdfId: fc.nat({ max: 65535 }), aeadId: fc.nat({ max: 65535 }) })
    const config = fc.record({
      keyId: fc.nat({ max: 255 }),
      publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      algorithms: fc.array(algorithm, { minLength: 1, maxLength: 4 }),
    })
    fc.assert(
      fc.property(fc.array(config, { minLength: 1, maxLength: 4 }), fc.nat(), (configs, at) => {
        const encoded = encodeKeyConfigs(configs)
        expect(decodeKeyConfigs(encoded)).toEqual(configs)
        expect(decodeKeyConfigs(concatBytes(otherKem, encoded, otherKem))).toEqual(configs)
        for (const bytes of [
          encoded.subarray(0, at % encoded.length),
          flipBit(encoded, at % (encoded.length * 8)),
        ]) {
          try {
            decodeKeyConfigs(bytes)
          } catch (error) {
            expect(error).toMatchObject({ code: expect.stringMatching(/^WIRE_(TRUNCATED|MALFORMED)$/) })
          }
        }
      }),
    )
  })

  it('that are badly encoded spoil the collection', () => {
    const good = encodeKeyConfigs([{ keyId: 1, publicKey, algorithms: [supported] }])
    expect(() => decodeKeyConfigs(concatBytes(good, Uint8Array.of(0)))).toThrow(TruncatedMessageError)
    expect(() => decodeKeyConfigs(concatBytes(good, fromHex('0002 0100')))).toThrow(TruncatedMessageError)
    expect(() => decodeKeyConfigs(noBytes)).toThrow(MalformedMessageError)
    const single = encodeKeyConfig({ keyId: 1, publicKey, algorithms: [supported] })
    expect(() => decodeKeyConfig(concatBytes(single, Uint8Array.of(0)))).toThrow(
      'bytes behind a key configuration',
    )
    const wrongLength = single.slice()
    wrongLength[36] = 3
    expect(() => decodeKeyConfig(wrongLength)).toThrow('wrong length of algorithms')
  })

  it('that cannot be written or used are refused', async () => {
    expect(() => encodeKeyConfigs([])).toThrow(UnencodableMessageError)
    for (const change of [{ keyId: 256 }, { algorithms: [] }, { publicKey: noBytes }]) {
      const config = { keyId: 1, publicKey, algorithms: [supported], ...change }
      expect(() => encodeKeyConfig(config)).toThrow(UnencodableMessageError)
    }
    const chacha = { keyId: 1, publicKey, algorithms: [{ kdfId: 1, aeadId: 3 }] }
    const usable = { keyId: 2, publicKey, algorithms: [{ kdfId: 1, aeadId: 3 }, supported] }
    expect(selectKeyConfig([chacha, usable])).toBe(usable)
    expect(() => selectKeyConfig([chacha])).toThrow(UnsupportedKeyConfigError)
    await expect(createOhttpKey(nodeHpke, chacha)).rejects.toThrow(UnsupportedKeyConfigError)
  })
})

describe('replays', () => {
  it('are refused for the life of the key, and a full set refuses rather than forgets', () => {
    const set = new ReplaySet(2)
    const [a, b, c] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte))
    if (a === undefined || b === undefined || c === undefined) throw new TypeError('three were made')
    set.admit(a)
    expect(() => set.admit(a.slice())).toThrow(ReplayedRequestError)
    set.admit(b)
    expect(() => set.admit(c)).toThrow(ReplaySetFullError)
    expect(() => set.admit(a)).toThrow(ReplayedRequestError)
    expect(set.size).toBe(2)
  })

  it('of another encoding of the same point do not open', async () => {
    const keys = await gatewayWith(nodeHpke, 3)
    const [own] = keys.values()
    if (own === undefined) throw new TypeError('a key was made')
    const { message } = await encapsulateRequest(await createOhttpKey(nodeHpke, keyConfigOf(own)), utf8('q'))
    // X25519 ignores the most significant bit of a point (RFC 7748, section 5).
    await expect(decapsulateRequest(keys, flipBit(message, 39 * 8 - 1))).rejects.toThrow(DecryptionError)
  })
})

it('media types and the problem type are those of the registries', () => {
  expect(Object.values(ohttpMediaTypes)).toEqual([
    'application/ohttp-keys',
    'message/ohttp-req',
    'message/ohttp-res',
    'message/ohttp-chunked-req',
    'message/ohttp-chunked-res',
  ])
  expect(OHTTP_KEY_PROBLEM).toBe('https://iana.org/assignments/http-problem-types#ohttp-key')
})

const published = sampleFile('conformance/ohttp-rfc9458.json')
describe.runIf(published.exists)(`published key configuration (${published.title})`, () => {
  it('decodes to its parts', () => {
    const file: {
      vectors: { keyConfig: string; publicKey: string; keyId: number; symmetricAlgorithms: unknown }[]
    } = JSON.parse(readFileSync(published.path, 'utf8'))
    for (const vector of file.vectors) {
      expect(decodeKeyConfig(fromHex(vector.keyConfig))).toEqual({
        keyId: vector.keyId,
        publicKey: fromHex(vector.publicKey),
        algorithms: vector.symmetricAlgorithms,
      })
    }
  })
})
