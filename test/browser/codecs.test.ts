import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeResponse } from '../../infra/inference/protocol/bhttp/decode.ts'
import { encodeRequest } from '../../infra/inference/protocol/bhttp/encode.ts'
import { fromHex, toHex, utf8 } from '../../infra/inference/protocol/hex.fixture.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { decapsulateResponse, encapsulateRequest } from '../../infra/inference/protocol/ohttp/encapsulate.ts'
import { decodeKeyConfigs, selectKeyConfig } from '../../infra/inference/protocol/ohttp/keyConfig.ts'
import { createOhttpKey } from '../../infra/inference/protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { chromiumPath } from './chromium.ts'
import { cellSize, createGateway } from './gateway.ts'
import { type BrowserPage, openPage } from './openPage.ts'

const vectors: unknown = JSON.parse(
  readFileSync(new URL('../../infra/inference/protocol/vectors.json', import.meta.url), 'utf8'),
)

describe.runIf(chromiumPath !== undefined)(
  'the codecs in a real browser (install chromium, or set RIALTO_CHROMIUM to one)',
  () => {
    let gateway: Awaited<ReturnType<typeof createGateway>>
    let page: BrowserPage
    beforeAll(async () => {
      gateway = await createGateway()
      page = await openPage(chromiumPath ?? '', async (request, response) => {
        if (request.url === '/keys') response.end(gateway.keyConfigs)
        else if (request.url === '/gateway') await gateway.answer(request, response)
        else return false
        return true
      })
    })
    afterAll(() => page?.close())

    it('find X25519 there', async () => {
      expect(await page.call('available')).toBe(true)
    })

    it('give the bytes of vectors.json', async () => {
      expect(await page.call('vectors')).toEqual(vectors)
    })

    it('ask a gateway on node:crypto, in one piece', async () => {
      const answer = await page.call('askWhole', '{"model":"ä"}')
      expect(answer).toEqual({
        informational: [],
        status: 200,
        headers: [['content-type', 'application/json']],
        content: toHex(utf8('{"model":"ä"}')),
        trailers: [['usage-tokens', '12']],
        mediaType: ohttpMediaTypes.response,
      })
      expect(gateway.received.at(-1)).toMatchObject({ length: 2048, request: { method: 'POST' } })
    })

    it('ask it in chunks of more than one, and read the cells of its answer as they come', async () => {
      const content = 'x'.repeat(40_000)
      const events = await page.call('askInChunks', content, cellSize)
      expect(events.at(0)).toMatchObject({ type: 'response', status: 200 })
      expect(events.at(-1)).toEqual({ type: 'end', trailers: [['usage-tokens', '12']] })
      const pieces = events.flatMap((event) => (event.type === 'content' ? [event.bytes] : []))
      expect(pieces.join('')).toBe(toHex(utf8(content)))
      expect(gateway.received.at(-1)).toMatchObject({ length: 65_536 })
    })

    it('open in the browser what node:crypto seals, and answer it', async () => {
      const configs = decodeKeyConfigs(fromHex(await page.call('keyConfigs')))
      const key = await createOhttpKey(nodeHpke, selectKeyConfig(configs))
      const request = {
        method: 'POST',
        scheme: 'https',
        authority: 'page.example',
        path: '/',
        headers: [],
        content: utf8('from Node'),
        trailers: [],
      }
      const { message, exchange } = await encapsulateRequest(key, encodeRequest(request))
      const opened = await page.call('answerWhole', toHex(message), 'from the page')
      expect(opened.content).toBe(toHex(request.content))
      const response = decodeResponse(await decapsulateResponse(exchange, fromHex(opened.response)))
      expect(response).toMatchObject({ status: 201, content: utf8('from the page') })
    })

    it('tell what was done to a stream', async () => {
      expect(await page.call('faults')).toEqual({
        nothing: 'whole',
        cut: 'STREAM_TRUNCATED',
        swapped: 'STREAM_REORDERED',
        repeated: 'STREAM_REPEATED',
        appended: 'STREAM_TRAILING',
        flipped: 'WIRE_DECRYPTION',
      })
    })

    it('ask nobody but the page that they came with', () => {
      expect(page.origins.size).toBe(1)
    })
  },
)
