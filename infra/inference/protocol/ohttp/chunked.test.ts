import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { sampleFile } from '../../../../test/sampleData.ts'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import {
  BrokenStreamError,
  DecryptionError,
  MessageTooLargeError,
  type StreamFault,
  UnknownKeyError,
} from '../errors.ts'
import { cutAt, flipBit, fromHex, toHex, utf8 } from '../hex.fixture.ts'
import { nodeHpke } from '../hpke/nodeHpke.ts'
import type { HpkeSuite } from '../hpke/suite.ts'
import { webHpke } from '../hpke/webHpke.ts'
import {
  type ChunkOpener,
  type ChunkSealer,
  openChunkedRequest,
  openChunkedResponse,
  openChunks,
  sealChunkedRequest,
  sealChunkedResponse,
} from './chunked.ts'
import { maxChunkLength } from './chunkFrames.ts'
import {
  createGatewayKey,
  createOhttpKey,
  type GatewayKey,
  keyConfigOf,
  type OhttpExchange,
  type OhttpKey,
} from './keys.ts'

/** draft-ietf-ohai-chunked-ohttp-08, appendix A. */
const draft = {
  skR: '1c190d72acdbe4dbc69e680503bb781a932c70a12c8f3754434c67d8640d8698',
  skE: 'b26d565f3f875ed480d1abced3d665159650c99174fd0b124ac4bda0c64ae324',
  request: ['00034745540568747470730b', '6578616d706c652e636f6d012f', ''],
  encapsulatedRequest:
    '010020000100018811eb457e100811c40a0aa71340a1b81d804bb986f736f2f566a7199761a0321c2ad24942d4d692563012f298' +
    '0c8fef437a336b9b2fc938ef77a5834f1d2e33d8fd25577afe31bd1c79d094f76b6250ae6549b473ecd950501311001c6c1395d0' +
    'ef7c1022297966307b8a7f',
  responseNonce: 'bcce7f4cb921309ba5d62edf1769ef09',
  response: ['01', '40c8', ''],
  encapsulatedResponse:
    'bcce7f4cb921309ba5d62edf1769ef091179bf1cc87fa0e2c02de4546945aa3d1e4812b348b5bd4c594c16b6170b07b475845d1f' +
    '3200ed9d8a796617a5b27265f4d73247f639',
}

const suites: readonly (readonly [string, HpkeSuite])[] = [
  ['node', nodeHpke],
  ['web', webHpke],
]

/** Seals pieces, the last one as the final chunk; gives each on its own. */
async function sealPieces(sealer: ChunkSealer, pieces: readonly Uint8Array[]): Promise<Uint8Array[]> {
  return Promise.all(
    pieces.map((piece, index) => (index === pieces.length - 1 ? sealer.end(piece) : sealer.seal(piece))),
  )
}

async function openAll(opener: ChunkOpener, parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const opened: Uint8Array[] = []
  for (const part of parts) opened.push(...(await opener.push(part)))
  return [...opened, await opener.end()]
}

async function pair(client: HpkeSuite, server: HpkeSuite) {
  const own = await createGatewayKey(server, 1, await server.generateKeyPair())
  const keys = new Map([[1, own]])
  return { own, keys, key: await createOhttpKey(client, keyConfigOf(own)) }
}

/** Both sides of an exchange whose request has arrived. */
async function exchangeOf(key: OhttpKey, keys: ReadonlyMap<number, GatewayKey>) {
  const { sealer, exchange } = await sealChunkedRequest(key)
  const opener = openChunkedRequest(keys)
  await openAll(opener, [await sealer.end(utf8('q'))])
  if (opener.opened === undefined) throw new TypeError('the request was opened')
  return { client: exchange, gateway: opener.opened.exchange }
}

describe.each(suites)('chunked Oblivious HTTP on %s', (_, suite) => {
  it('passes draft-ietf-ohai-chunked-ohttp-08, appendix A', async () => {
    const own = await createGatewayKey(suite, 1, await suite.importPrivateKey(fromHex(draft.skR)))
    const key = await createOhttpKey(suite, keyConfigOf(own))
    const { sealer, exchange } = await sealChunkedRequest(
      key,
      await suite.importPrivateKey(fromHex(draft.skE)),
    )
    const request = await sealPieces(sealer, draft.request.map(fromHex))
    expect(toHex(concatBytes(...request))).toBe(draft.encapsulatedRequest)

    const opener = openChunkedRequest(new Map([[1, own]]))
    expect((await openAll(opener, request)).map(toHex)).toEqual(draft.request)
    if (opener.opened === undefined) throw new TypeError('the request was opened')
    const answers = await sealChunkedResponse(opener.opened.exchange, fromHex(draft.responseNonce))
    const response = await sealPieces(answers, draft.response.map(fromHex))
    expect(toHex(concatBytes(...response))).toBe(draft.encapsulatedResponse)
    expect((await openAll(openChunkedResponse(exchange), response)).map(toHex)).toEqual(draft.response)
  })
})

describe('between platforms', () => {
  it('streams pass both ways, however the transport cuts them', async () => {
    for (const [client, server] of [
      [nodeHpke, webHpke],
      [webHpke, nodeHpke],
    ] as const) {
      const { own, keys, key } = await pair(client, server)
      const pieces = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 6 })
      await fc.assert(
        fc.asyncProperty(pieces, pieces, fc.array(fc.nat()), async (asked, answered, cuts) => {
          const { sealer, exchange } = await sealChunkedRequest(key)
          const opener = openChunkedRequest(keys)
          const request = concatBytes(...(await sealPieces(sealer, asked)))
          expect(await openAll(opener, cutAt(request, cuts))).toEqual(asked)
          expect(opener.opened?.key).toBe(own)
          if (opener.opened === undefined) return
          const sealed = await sealPieces(await sealChunkedResponse(opener.opened.exchange), answered)
          expect(await openAll(openChunkedResponse(exchange), cutAt(concatBytes(...sealed), cuts))).toEqual(
            answered,
          )
        }),
        { numRuns: 25 },
      )
    }
  })
})

describe('a stream', () => {
  let key: OhttpKey
  let keys: ReadonlyMap<number, GatewayKey>
  let client: OhttpExchange
  let gateway: OhttpExchange
  beforeAll(async () => {
    ;({ key, keys } = await pair(nodeHpke, nodeHpke))
    ;({ client, gateway } = await exchangeOf(key, keys))
  })

  const sealAnswer = async (...pieces: string[]) =>
    sealPieces(await sealChunkedResponse(gateway), pieces.map(utf8))
  const fault = async (parts: readonly Uint8Array[]): Promise<StreamFault> => {
    const error = await openAll(openChunkedResponse(client), parts).catch((caught: unknown) => caught)
    if (!(error instanceof BrokenStreamError)) throw error
    expect(error.code).toBe(`STREAM_${error.fault.toUpperCase()}`)
    return error.fault
  }

  it('says what was done to it', async () => {
    const [first, second, third, last] = await sealAnswer('one', 'two', 'three', '')
    if (first === undefined || second === undefined || third === undefined || last === undefined)
      throw new TypeError('four were sealed')
    expect(await fault([])).toBe('truncated')
    expect(await fault([first.subarray(0, 10)])).toBe('truncated')
    expect(await fault([first, second])).toBe('truncated')
    expect(await fault([first, second.subarray(0, 9)])).toBe('truncated')
    expect(await fault([first, second, third, last.subarray(0, 1)])).toBe('truncated')
    expect(await fault([first, second, third, last.subarray(0, -1)])).toBe('truncated')
    // A chunk in the middle, passed off as the final one.
    expect(await fault([first, Uint8Array.of(0), second.subarray(1)])).toBe('truncated')
    expect(await fault([first, third, second, last])).toBe('reordered')
    expect(await fault([first, third, last])).toBe('reordered')
    expect(await fault([first, last])).toBe('reordered')
    expect(await fault([first, second, second, third, last])).toBe('repeated')
    expect(await fault([first, second, third, last, Uint8Array.of(1)])).toBe('trailing')
    expect(await fault([first, second, third, last, last])).toBe('trailing')
    // The final chunk, given a length so that more can follow.
    expect(await fault([first, second, third, Uint8Array.of(16), last.subarray(1), third])).toBe('trailing')
  })

  it('takes nothing behind its end', async () => {
    const parts = await sealAnswer('one', '')
    const opener = openChunkedResponse(client)
    await openAll(opener, parts)
    await expect(opener.push(Uint8Array.of(1))).rejects.toMatchObject({ fault: 'trailing' })
    const sealer = await sealChunkedResponse(gateway)
    await sealer.end()
    await expect(sealer.seal(noBytes)).rejects.toMatchObject({ code: 'INVARIANT' })
  })

  it('fails for good once it failed', async () => {
    const [first, second, last] = await sealAnswer('one', 'two', '')
    if (first === undefined || second === undefined || last === undefined)
      throw new TypeError('three were sealed')
    const opener = openChunkedResponse(client)
    const results = await Promise.allSettled([
      opener.push(first),
      opener.push(flipBit(second, 60)),
      opener.push(second),
      opener.end(),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected'])
    for (const result of results.slice(1))
      expect(result).toMatchObject({ reason: { code: 'WIRE_DECRYPTION' } })
  })

  it('never decodes to something else, whatever one change does to it', async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 2, maxLength: 6 })
    const change = fc.constantFrom('flip', 'cut', 'swap', 'repeat', 'drop', 'append' as const)
    await fc.assert(
      fc.asyncProperty(pieces, change, fc.nat(), fc.nat(), async (plaintexts, how, at, other) => {
        const sealed = await sealPieces(await sealChunkedResponse(gateway), plaintexts)
        const whole = concatBytes(...sealed)
        const [i, j] = [at % sealed.length, other % sealed.length]
        const changed = {
          flip: () => flipBit(whole, at % (whole.length * 8)),
          cut: () => whole.subarray(0, at % whole.length),
          swap: () =>
            concatBytes(
              ...sealed.map(
                (chunk, index) => (index === i ? sealed[j] : index === j ? sealed[i] : undefined) ?? chunk,
              ),
            ),
          repeat: () => concatBytes(...sealed.slice(0, i + 1), ...sealed.slice(i)),
          drop: () => concatBytes(...sealed.filter((_, index) => index !== i)),
          append: () => concatBytes(whole, Uint8Array.of(other)),
        }[how]()
        const opened: Uint8Array[] = []
        const opener = openChunkedResponse(client)
        const outcome = await (async () => {
          for (const part of cutAt(changed, [other])) opened.push(...(await opener.push(part)))
          opened.push(await opener.end())
          return 'whole'
        })().catch((error: unknown) => error)
        // What came out before the failure is a beginning of what was sent.
        expect(opened).toEqual(plaintexts.slice(0, opened.length))
        if (outcome === 'whole') expect([how, toHex(changed)]).toEqual(['swap', toHex(whole)])
        else
          expect(outcome).toMatchObject({
            code: expect.stringMatching(/^(STREAM_|WIRE_(DECRYPTION|TOO_LARGE))/),
          })
      }),
      { numRuns: 400 },
    )
  })

  it('of a request has one error for all of it, and its exchange only once something opened', async () => {
    const { sealer } = await sealChunkedRequest(key)
    const [first, second, last] = await sealPieces(sealer, [utf8('one'), utf8('two'), noBytes])
    if (first === undefined || second === undefined || last === undefined)
      throw new TypeError('three were sealed')
    for (const parts of [
      [first, second, second, last],
      [first, last],
      [flipBit(first, 350), second, last],
      [first, second, last, last],
    ]) {
      await expect(openAll(openChunkedRequest(keys), parts)).rejects.toThrow(DecryptionError)
    }
    const stranger = openChunkedRequest(keys)
    await expect(stranger.push(flipBit(first, 330))).rejects.toThrow(DecryptionError)
    expect(stranger.opened).toBeUndefined()
    await expect(openAll(openChunkedRequest(keys), [first])).rejects.toMatchObject({ fault: 'truncated' })
    await expect(openChunkedRequest(new Map()).push(first)).rejects.toThrow(UnknownKeyError)
    const opener = openChunkedRequest(keys)
    await opener.push(first)
    expect(opener.opened?.exchange.enc).toEqual(first.subarray(7, 39))
  })

  it('has chunks of at most 16384 bytes, and a largest size of its own', async () => {
    const plaintext = nodeHpke.randomBytes(3 * maxChunkLength + 5)
    const sealed = await (await sealChunkedResponse(gateway)).end(plaintext)
    const opened = await openAll(openChunkedResponse(client), [sealed])
    expect(opened.map((piece) => piece.length)).toEqual([maxChunkLength, maxChunkLength, maxChunkLength, 5])
    expect(concatBytes(...opened)).toEqual(plaintext)

    const small = openChunkedResponse(client, { maxMessageBytes: 2 * maxChunkLength })
    await expect(openAll(small, cutAt(sealed, [10_000, 30_000]))).rejects.toThrow(MessageTooLargeError)
    const nonce = new Uint8Array(16)
    // A length of 16401, which is more than a chunk with its tag; the final chunk has no length to look at.
    await expect(openChunkedResponse(client).push(concatBytes(nonce, fromHex('80004011')))).rejects.toThrow(
      MessageTooLargeError,
    )
    const endless = openChunkedResponse(client)
    await endless.push(concatBytes(nonce, Uint8Array.of(0), new Uint8Array(16_400)))
    await expect(endless.push(Uint8Array.of(1))).rejects.toThrow(MessageTooLargeError)
    await expect(
      openChunkedResponse(client).push(concatBytes(nonce, new Uint8Array(8).fill(255))),
    ).rejects.toThrow(MessageTooLargeError)
  })

  it('is opened as it arrives, and its source is closed by who leaves early', async () => {
    const parts = await sealAnswer('one', 'two', '')
    let closed = false
    async function* source() {
      try {
        yield* parts
      } finally {
        closed = true
      }
    }
    const all: string[] = []
    for await (const plaintext of openChunks(openChunkedResponse(client), source()))
      all.push(new TextDecoder().decode(plaintext))
    expect(all).toEqual(['one', 'two', ''])
    closed = false
    for await (const _ of openChunks(openChunkedResponse(client), source())) break
    expect(closed).toBe(true)
  })
})

type PublishedChunked = {
  skR: string
  encapsulatedRequest: string
  request: string
  encapsulatedResponse: string
  skE: string
  response: string
}
const published = sampleFile('conformance/ohttp-chunked-ohttp-08.json')
describe.runIf(published.exists)(`published streams (${published.title})`, () => {
  it.each(suites)('open on %s', async (_, suite) => {
    const file: { vectors: PublishedChunked[] } = JSON.parse(readFileSync(published.path, 'utf8'))
    for (const vector of file.vectors) {
      const own = await createGatewayKey(suite, 1, await suite.importPrivateKey(fromHex(vector.skR)))
      const opener = openChunkedRequest(new Map([[1, own]]))
      expect(toHex(concatBytes(...(await openAll(opener, [fromHex(vector.encapsulatedRequest)]))))).toBe(
        vector.request,
      )
      const key = await createOhttpKey(suite, keyConfigOf(own))
      const { exchange } = await sealChunkedRequest(key, await suite.importPrivateKey(fromHex(vector.skE)))
      const response = await openAll(openChunkedResponse(exchange), [fromHex(vector.encapsulatedResponse)])
      expect(toHex(concatBytes(...response))).toBe(vector.response)
    }
  })
})
