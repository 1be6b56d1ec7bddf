/**
 * What the browser is asked to do with the codecs: this module and all that it imports run in the page, and are
 * compiled against what a browser has. What comes out is JSON, with bytes in hexadecimal.
 */
import { decodeRequest, decodeResponse } from '../../infra/inference/protocol/bhttp/decode.ts'
import { BinaryHttpDecoder } from '../../infra/inference/protocol/bhttp/decoder.ts'
import { encodeRequest, encodeResponse } from '../../infra/inference/protocol/bhttp/encode.ts'
import type { BinaryRequest } from '../../infra/inference/protocol/bhttp/message.ts'
import { noBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { CellUnpacker } from '../../infra/inference/protocol/cells.ts'
import { flipBit, fromHex, toHex, utf8 } from '../../infra/inference/protocol/hex.fixture.ts'
import { isWebHpkeAvailable, webHpke } from '../../infra/inference/protocol/hpke/webHpke.ts'
import {
  openChunkedRequest,
  openChunkedResponse,
  openChunks,
  sealChunkedRequest,
  sealChunkedResponse,
} from '../../infra/inference/protocol/ohttp/chunked.ts'
import {
  decapsulateRequest,
  decapsulateResponse,
  encapsulateRequest,
  encapsulateResponse,
} from '../../infra/inference/protocol/ohttp/encapsulate.ts'
import {
  decodeKeyConfigs,
  encodeKeyConfigs,
  selectKeyConfig,
} from '../../infra/inference/protocol/ohttp/keyConfig.ts'
import { createGatewayKey, createOhttpKey, keyConfigOf } from '../../infra/inference/protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../../infra/inference/protocol/padding.ts'
import { buildVectors } from '../../infra/inference/protocol/testVectors.ts'

/** Whether this browser has what the codecs need. */
export const available = isWebHpkeAvailable

/** Our own vectors, built here: Binary HTTP, padding, cells, key configurations, whole and chunked messages. */
export const vectors = () => buildVectors(webHpke)

const question = (content: string): BinaryRequest => ({
  method: 'POST',
  scheme: 'https',
  authority: 'node.example',
  path: '/v1/chat/completions',
  headers: [['content-type', 'application/json']],
  content: utf8(content),
  trailers: [],
})

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer())

async function gatewayKey() {
  return createOhttpKey(webHpke, selectKeyConfig(decodeKeyConfigs(await bytesOf(await fetch('/keys')))))
}

function post(body: Uint8Array, mediaType: string): Promise<Response> {
  const headers = { 'content-type': mediaType }
  return fetch('/gateway', { method: 'POST', body: new Uint8Array(body), headers })
}

/** Asks the gateway, in one piece. */
export async function askWhole(content: string) {
  const request = padRequest(encodeRequest(question(content)))
  const { message, exchange } = await encapsulateRequest(await gatewayKey(), request)
  const response = await post(message, ohttpMediaTypes.request)
  const answer = decodeResponse(await decapsulateResponse(exchange, await bytesOf(response)))
  return { ...answer, content: toHex(answer.content), mediaType: response.headers.get('content-type') }
}

/** Asks the gateway in chunks, and reads its answer from the stream as it comes, cell by cell. */
export async function askInChunks(content: string, cellSize: number) {
  const { sealer, exchange } = await sealChunkedRequest(await gatewayKey())
  const response = await post(
    await sealer.end(padRequest(encodeRequest(question(content)))),
    ohttpMediaTypes.chunkedRequest,
  )
  if (response.body === null) throw new TypeError('an answer has a body')
  const unpacker = new CellUnpacker(cellSize)
  const decoder = new BinaryHttpDecoder('response')
  const events = []
  for await (const cells of openChunks(openChunkedResponse(exchange), response.body))
    for (const piece of unpacker.push(cells)) events.push(...decoder.push(piece))
  unpacker.end()
  events.push(...decoder.end())
  return events.map((event) => (event.type === 'content' ? { ...event, bytes: toHex(event.bytes) } : event))
}

const own = webHpke.generateKeyPair().then((pair) => createGatewayKey(webHpke, 9, pair))

/** The key configurations of a gateway in this page. */
export async function keyConfigs(): Promise<string> {
  return toHex(encodeKeyConfigs([keyConfigOf(await own)]))
}

/** Opens a request that somebody sealed for this page, and answers it. */
export async function answerWhole(message: string, content: string) {
  const opened = await decapsulateRequest(new Map([[9, await own]]), fromHex(message))
  const response = { informational: [], status: 201, headers: [], content: utf8(content), trailers: [] }
  return {
    content: toHex(decodeRequest(opened.request).content),
    response: toHex(await encapsulateResponse(opened.exchange, encodeResponse(response))),
  }
}

/** What is said of streams that somebody tampered with, by what was done to them. */
export async function faults(): Promise<Record<string, unknown>> {
  const key = await own
  const { sealer, exchange } = await sealChunkedRequest(key)
  const opener = openChunkedRequest(new Map([[9, key]]))
  await opener.push(await sealer.end(utf8('q')))
  await opener.end()
  if (opener.opened === undefined) throw new TypeError('it was opened to its end')
  const answers = await sealChunkedResponse(opener.opened.exchange)
  const [first, second, third] = [
    await answers.seal(utf8('one')),
    await answers.seal(utf8('two')),
    await answers.seal(utf8('three')),
  ]
  const last = await answers.end(noBytes)
  const codeOf = async (...parts: Uint8Array[]): Promise<unknown> => {
    const stream = openChunkedResponse(exchange)
    try {
      for (const part of parts) await stream.push(part)
      await stream.end()
      return 'whole'
    } catch (error) {
      return typeof error === 'object' && error !== null && 'code' in error ? error.code : String(error)
    }
  }
  return {
    nothing: await codeOf(first, second, third, last),
    cut: await codeOf(first, second),
    swapped: await codeOf(first, third, second, last),
    repeated: await codeOf(first, second, second, third, last),
    appended: await codeOf(first, second, third, last, last),
    flipped: await codeOf(first, flipBit(second, 40), third, last),
  }
}
