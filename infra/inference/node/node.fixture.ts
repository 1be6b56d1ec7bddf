import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { expect } from 'vitest'
import { BinaryHttpDecoder } from '../protocol/bhttp/decoder.ts'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import { CellUnpacker } from '../protocol/cells.ts'
import { BrokenStreamError } from '../protocol/errors.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { createAuthorization } from '../protocol/network/authorization.ts'
import { generateIdentity, type IdentityKey } from '../protocol/network/identity.ts'
import { readNodeDescription, sealingKey } from '../protocol/network/nodeDescription.ts'
import { checkReceipt, decodeReceipt, modelDigest } from '../protocol/network/receipt.ts'
import { headers, routes } from '../protocol/network/routes.ts'
import { fromBase64Url } from '../protocol/network/text.ts'
import { openChunkedResponse, sealChunkedRequest } from '../protocol/ohttp/chunked.ts'
import type { OhttpExchange, OhttpKey } from '../protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../protocol/padding.ts'
import type { NodeModelOptions, NodeOptions } from './options.ts'
import { type RunningNode, startNode } from './startNode.ts'

/** A gateway and its client in one, for tests: the node's own side of the wire is what is tested. */
export const gateway: IdentityKey = generateIdentity()
export const nodeIdentity: IdentityKey = generateIdentity()

export const model = (fields: Partial<NodeModelOptions> = {}): NodeModelOptions => ({
  id: 'public/model-1',
  privacy: 'private',
  context: 8_192,
  price: { prompt: 250, completion: 1_000 },
  serves: ['chat', 'embeddings'],
  ...fields,
})

export const startTestNode = (
  upstream: string,
  options: Partial<NodeOptions> & { model?: Partial<NodeModelOptions> } = {},
): Promise<RunningNode> => {
  const { model: fields, ...rest } = options
  return startNode({
    name: 'node-1',
    operator: 'tester',
    identity: nodeIdentity,
    gateways: [generateIdentity().identity, gateway.identity],
    upstream: { url: upstream },
    models: [model(fields)],
    ...rest,
  })
}

export const fetchKey = async (url: string): Promise<OhttpKey> => {
  const document = await (await fetch(url + routes.node.description)).text()
  return sealingKey(nodeHpke, (await readNodeDescription(document)).keys)
}

export type Asked = {
  readonly path?: string
  readonly method?: string
  readonly fields?: readonly Field[]
  /** What is sealed, instead of a request. */
  readonly plaintext?: Uint8Array
}

/** Seals a request. */
export async function sealFor(
  key: OhttpKey,
  body: unknown,
  { path = '/v1/chat/completions', method = 'POST', fields = [], plaintext }: Asked = {},
): Promise<{ readonly sealed: Uint8Array; readonly exchange: OhttpExchange }> {
  const content = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body ?? null))
  const { sealer, exchange } = await sealChunkedRequest(key)
  const request = encodeRequest({
    method,
    scheme: 'https',
    authority: 'node',
    path,
    headers: [['content-type', 'application/json'], ...fields],
    content,
    trailers: [],
  })
  return { sealed: await sealer.end(plaintext ?? padRequest(request)), exchange }
}

export const hashOf = (sealed: Uint8Array) => new Uint8Array(createHash('sha256').update(sealed).digest())

export const authorize = (
  sealed: Uint8Array,
  {
    ceiling = 16,
    issuedAt = Date.now(),
    by = gateway,
  }: { ceiling?: number; issuedAt?: number; by?: IdentityKey } = {},
): string =>
  createAuthorization(
    by,
    { ceiling, issuedAt },
    { node: nodeIdentity.identity, innerRequestHash: hashOf(sealed) },
  )

export type RawAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  /** Whether HTTP says that it is whole. */
  readonly complete: boolean
}

/** One exchange with the node's socket. */
export const post = (
  url: string,
  body: Uint8Array,
  fields: Record<string, string> = {},
  onData: (bytes: Buffer) => void = () => undefined,
): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': ohttpMediaTypes.chunkedRequest, 'content-length': body.length, ...fields },
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const parts: Buffer[] = []
      const finish = () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts),
          complete: response.complete,
        })
      response.on('data', (part: Buffer) => {
        parts.push(part)
        onData(part)
      })
      response.on('error', finish).on('end', finish)
    })
    request.end(body)
  })

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** The plaintext of each chunk. */
  readonly chunks: readonly Uint8Array[]
  /** Whether the final chunk came. */
  readonly whole: boolean
  readonly json: Record<string, never>
  readonly receipt:
    | { readonly used: number; readonly ceiling: number; readonly model: Uint8Array }
    | undefined
}

/** Opens what the node answered, and checks all that a gateway and a client can check. */
export async function openAnswer(
  raw: RawAnswer,
  { sealed, exchange, cells }: { sealed: Uint8Array; exchange: OhttpExchange; cells?: number | undefined },
): Promise<Answer> {
  expect(raw.status).toBe(200)
  expect(raw.headers['content-type']).toBe('message/bhttp')
  const outer = decodeLoosely(raw.body)
  expect(outer.head).toEqual({ status: 200, headers: { 'content-type': ohttpMediaTypes.chunkedResponse } })
  const opener = openChunkedResponse(exchange, { maxMessageBytes: 1024 * 1024 * 1024 })
  const chunks = await opener.push(outer.content)
  let whole = true
  try {
    chunks.push(await opener.end())
  } catch (error) {
    if (!(error instanceof BrokenStreamError)) throw error
    whole = false
  }
  const unpacker = cells === undefined ? undefined : new CellUnpacker(cells)
  const plain = unpacker === undefined ? chunks : chunks.flatMap((chunk) => unpacker.push(chunk))
  unpacker?.end()
  const inner = decodeLoosely(Buffer.concat(plain))
  const value = outer.trailers[headers.receipt]
  const receipt = value === undefined ? undefined : decodeReceipt(fromBase64Url(value, 'a receipt'))
  if (receipt !== undefined)
    expect(checkReceipt(receipt, { node: nodeIdentity.identity, innerRequestHash: hashOf(sealed) })).toBe(
      true,
    )
  return {
    status: inner.head?.status ?? 0,
    headers: inner.head?.headers ?? {},
    body: inner.content,
    chunks,
    whole,
    get json() {
      return JSON.parse(inner.content.toString('utf8')) as Record<string, never>
    },
    receipt: receipt && { used: receipt.used, ceiling: receipt.ceiling, model: receipt.modelDigest },
  }
}

/** A Binary HTTP response as far as it goes. */
function decodeLoosely(bytes: Uint8Array) {
  const decoder = new BinaryHttpDecoder('response', { maxContentBytes: 1024 * 1024 * 1024 })
  const parts: Uint8Array[] = []
  let head: { status: number; headers: Record<string, string> } | undefined
  let trailers: Record<string, string> = {}
  const events = decoder.push(bytes)
  try {
    events.push(...decoder.end())
  } catch {
    // Cut short: what came is what is looked at.
  }
  for (const event of events) {
    if (event.type === 'content') parts.push(event.bytes)
    if (event.type === 'response') head = { status: event.status, headers: Object.fromEntries(event.headers) }
    if (event.type === 'end') trailers = Object.fromEntries(event.trailers)
  }
  return { head, content: Buffer.concat(parts), trailers }
}

/** Asks a node as a gateway does, for a client. */
export async function ask(
  node: { readonly url: string },
  body: unknown,
  options: Asked & {
    readonly ceiling?: number
    readonly cells?: number
    readonly cadence?: number | 'off'
    /** What the gateway says was paid for; it says nothing when absent. */
    readonly paidFor?: string
  } = {},
): Promise<Answer> {
  const { ceiling, cells, cadence, paidFor, fields = [], ...rest } = options
  const shaped: Field[] = [...fields]
  if (cells !== undefined) shaped.push([headers.cells, String(cells)])
  if (cadence !== undefined) shaped.push([headers.cadence, String(cadence)])
  const { sealed, exchange } = await sealFor(await fetchKey(node.url), body, { ...rest, fields: shaped })
  const raw = await post(node.url + routes.node.ohttp, sealed, {
    [headers.authorization]: authorize(sealed, ceiling === undefined ? {} : { ceiling }),
    ...(paidFor === undefined ? {} : { [headers.model]: paidFor }),
  })
  return openAnswer(raw, { sealed, exchange, cells })
}

/** A promise that a test settles itself. */
export function deferred<Value = void>() {
  let resolve: (value: Value) => void = () => undefined
  const promise = new Promise<Value>((settle) => {
    resolve = settle
  })
  return { promise, resolve: (value: Value) => resolve(value) }
}

/** The data of each server-sent event. */
export const eventsOf = (body: Buffer): string[] =>
  body
    .toString('utf8')
    .split(/\r?\n\r?\n/)
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: ?/, ''))

export { modelDigest }
