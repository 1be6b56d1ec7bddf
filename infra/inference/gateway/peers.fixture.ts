import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encodeContent, encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { checkAuthorization } from '../protocol/network/authorization.ts'
import { generateIdentity, type IdentityKey } from '../protocol/network/identity.ts'
import { signNodeDescription } from '../protocol/network/nodeDescription.ts'
import { createReceipt, encodeReceipt } from '../protocol/network/receipt.ts'
import { headers, mediaTypes } from '../protocol/network/routes.ts'
import { toBase64Url } from '../protocol/network/text.ts'
import { openChunkedRequest, sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf, type OhttpExchange } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { generateTokenKey, type TokenKeyPair } from '../tokens/blindRsa/keys.ts'

/*
 * The world around a gateway, for its tests: a mint that signs, a node that does as it is told, and a client with a
 * wallet. They speak the protocol over real sockets.
 */

export const MODEL = 'public/model-1'
export const MINT = 'mint.example'
export const GATEWAY = 'gateway.example'

type Closing = { readonly url: string; close(): Promise<void> }
type Served = Closing & {
  /** Refuses connections. */
  pause(): Promise<void>
  /** Takes them again, on the same port. */
  resume(): Promise<void>
}

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Served> {
  const server = createServer(handler)
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await listen(0)
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close, pause: close, resume: () => listen(port) }
}

export const readBytes = async (message: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = []
  for await (const part of message) parts.push(part)
  return Buffer.concat(parts)
}

let mintKeys: Promise<TokenKeyPair> | undefined
/** One key for all tests of a file: a new one takes a tenth of a second. */
export const mintPair = (): Promise<TokenKeyPair> => {
  mintKeys ??= generateTokenKey()
  return mintKeys
}

export type TestMint = Served & { readonly pair: TokenKeyPair; issuerDirectory: object }

/** A mint's issuer directory. Tokens are signed by the test itself. */
export async function startTestMint(): Promise<TestMint> {
  const pair = await mintPair()
  const mint = {
    pair,
    issuerDirectory: {
      'issuer-request-uri': '/token-request',
      'token-keys': [
        {
          'token-type': 2,
          'token-key': Buffer.from(pair.publicKey.spki).toString('base64url'),
          'not-after': 4e9,
        },
      ],
    } as object,
  }
  const served = await serve((_, response) => response.end(JSON.stringify(mint.issuerDirectory)))
  return Object.assign(mint, served)
}

/** What a scripted node is asked, and what it answers with. */
export type NodeTurn = {
  readonly body: Buffer
  readonly innerRequestHash: Uint8Array
  readonly ceiling: number
  readonly prompt: Uint8Array
  readonly response: ServerResponse
  /** The response's head in the clear and the beginning of the Binary HTTP message. */
  begin(): void
  /** Seals some bytes of the answer for the client and sends them. */
  say(text: string): Promise<void>
  /** Ends the answer, with a receipt for so much or whatever is given. */
  end(receipt: number | Uint8Array | null): Promise<void>
  receipt(
    fields?: Partial<{
      used: number
      ceiling: number
      model: string
      innerRequestHash: Uint8Array
      by: IdentityKey
    }>,
  ): Uint8Array
}

export type TestNode = Served & {
  readonly identity: IdentityKey
  script: (turn: NodeTurn) => Promise<void> | void
  /** Requests that arrived. */
  asked: number
  /** How often it was asked to describe itself. */
  described: number
  /** Its clock, in milliseconds since 1970. */
  now: () => number
  /** Answers the ohttp-key problem as long as a request is sealed for another key than the current one. */
  rotate(): Promise<void>
  description: string
}

/** Answers "hello" for one token. */
export const sayHello = async (turn: NodeTurn): Promise<void> => {
  turn.begin()
  await turn.say('hello')
  await turn.end(1)
}

/** A node whose every answer is scripted. */
export async function startTestNode(gateway: IdentityKey, name = 'node-1'): Promise<TestNode> {
  const identity = generateIdentity()
  let key = await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair())
  const describe = () =>
    signNodeDescription(identity, {
      version: 1,
      name,
      operator: 'operator-1',
      keys: Buffer.from(encodeKeyConfigs([keyConfigOf(key)])).toString('base64'),
      notBefore: Math.floor(Date.now() / 1000) - 60,
      notAfter: Math.floor(Date.now() / 1000) + 365 * 86_400,
      models: [
        {
          id: MODEL,
          privacy: 'private',
          context: 8_192,
          price: { prompt: 1, completion: 1 },
          serves: ['chat'],
        },
      ],
    })

  const node = {
    identity,
    script: sayHello as TestNode['script'],
    asked: 0,
    described: 0,
    now: Date.now,
    description: await describe(),
    async rotate() {
      key = await createGatewayKey(nodeHpke, (key.keyId + 1) & 0xff, await nodeHpke.generateKeyPair())
      node.description = await describe()
    },
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      node.described += 1
      response.end(node.description)
      return
    }
    const body = await readBytes(request)
    const innerRequestHash = new Uint8Array(createHash('sha256').update(body).digest())
    const authorization = checkAuthorization(String(request.headers[headers.authorization]), {
      gateways: [gateway.identity],
      node: identity.identity,
      innerRequestHash,
      now: node.now(),
    })
    if (authorization === undefined) {
      response.writeHead(401).end()
      return
    }
    node.asked += 1
    const opener = openChunkedRequest(new Map([[key.keyId, key]]))
    let parts: Uint8Array[]
    try {
      parts = await opener.push(body)
      parts.push(await opener.end())
    } catch {
      response
        .writeHead(400, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ type: OHTTP_KEY_PROBLEM }))
      return
    }
    const { ceiling } = authorization
    const sealer = await sealChunkedResponse((opener.opened as { exchange: OhttpExchange }).exchange)
    const receipt: NodeTurn['receipt'] = (fields = {}) => {
      const { by = identity, ...rest } = fields
      return encodeReceipt(createReceipt(by, { ceiling, used: 1, model: MODEL, innerRequestHash, ...rest }))
    }
    await node.script({
      body,
      innerRequestHash,
      ceiling,
      prompt: Buffer.concat(parts),
      response,
      receipt,
      begin() {
        response.writeHead(200, { 'content-type': mediaTypes.binaryHttp })
        response.write(
          encodeResponseHead({
            informational: [],
            status: 200,
            headers: [['content-type', ohttpMediaTypes.chunkedResponse]],
          }),
        )
      },
      async say(text) {
        const content = encodeContent(await sealer.seal(Buffer.from(text)))
        await new Promise<void>((resolve) => response.write(content, () => resolve()))
      },
      async end(given) {
        response.write(encodeContent(await sealer.end()))
        const bytes = typeof given === 'number' ? receipt({ used: given }) : given
        response.end(encodeEnd(bytes === null ? [] : [[headers.receipt, toBase64Url(bytes)]]))
      },
    })
  }
  const served = await serve((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  return Object.assign(node, served)
}
