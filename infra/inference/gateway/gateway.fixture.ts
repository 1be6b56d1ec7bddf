import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../../runtime/core/ports.ts'
import { decodeResponse } from '../protocol/bhttp/decode.ts'
import { encodeContent, encodeEnd, encodeRequest, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import type { BinaryResponse, Field } from '../protocol/bhttp/message.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { checkAuthorization } from '../protocol/network/authorization.ts'
import { readDirectory, type VerifiedDirectory } from '../protocol/network/directory.ts'
import { generateIdentity, type IdentityKey } from '../protocol/network/identity.ts'
import { sealingKey, signNodeDescription } from '../protocol/network/nodeDescription.ts'
import { decodeChange, encodePaidRequest, encodeReclaim, type Payment } from '../protocol/network/payment.ts'
import { createReceipt, encodeReceipt } from '../protocol/network/receipt.ts'
import { gatewayResources, headers, mediaTypes } from '../protocol/network/routes.ts'
import { fromBase64Url, toBase64Url } from '../protocol/network/text.ts'
import {
  openChunkedRequest,
  openChunkedResponse,
  sealChunkedRequest,
  sealChunkedResponse,
} from '../protocol/ohttp/chunked.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf, type OhttpExchange, type OhttpKey } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../protocol/padding.ts'
import { generateTokenKey, readTokenKey, type TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../tokens/privacyPass/issuance.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import { memoryAnswers } from '../tokens/redelivery/memoryAnswers.ts'
import { openWallet, type Wallet, type WalletIssuer, type WalletSpend } from '../tokens/wallet/openWallet.ts'
import type { Gateway, GatewayOptions } from './options.ts'
import { startGateway } from './startGateway.ts'

/*
 * The world around a gateway, for its tests: a mint that signs, a node that does as it is told, and a client with a
 * wallet. They speak the protocol over real sockets.
 */

export const MODEL = 'public/model-1'
export const MINT = 'mint.example'
export const GATEWAY = 'gateway.example'

type Closing = { readonly url: string; close(): Promise<void> }

async function serve(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Closing & { server: Server }> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
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

export type TestMint = Closing & { readonly pair: TokenKeyPair; issuerDirectory: object }

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
  return Object.assign(mint, { url: served.url, close: served.close })
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

export type TestNode = Closing & {
  readonly identity: IdentityKey
  script: (turn: NodeTurn) => Promise<void> | void
  /** Requests that arrived. */
  asked: number
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
      notAfter: Math.floor(Date.now() / 1000) + 3_600,
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
    description: await describe(),
    async rotate() {
      key = await createGatewayKey(nodeHpke, (key.keyId + 1) & 0xff, await nodeHpke.generateKeyPair())
      node.description = await describe()
    },
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      response.end(node.description)
      return
    }
    const body = await readBytes(request)
    const innerRequestHash = new Uint8Array(createHash('sha256').update(body).digest())
    const authorization = checkAuthorization(String(request.headers[headers.authorization]), {
      gateways: [gateway.identity],
      node: identity.identity,
      innerRequestHash,
      now: Date.now(),
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
        response.write(encodeContent(await sealer.seal(Buffer.from(text))))
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
  return Object.assign(node, { url: served.url, close: served.close })
}

/** A payment together with what it is for, and with what opens the answer. */
export type Order = Payment & {
  readonly spend: WalletSpend
  readonly innerRequest: Uint8Array
  readonly innerExchange: OhttpExchange
}

/** What came back over the wire, opened. */
export type Answered = {
  readonly response: BinaryResponse
  /** As it was sealed for the client by the node. */
  readonly content: Uint8Array
  readonly change: { readonly paid: number; readonly responses: readonly Uint8Array[] } | undefined
  readonly receipt: string | undefined
  readonly code: string | undefined
}

export const trailerOf = (fields: readonly Field[], name: string): string | undefined =>
  fields.find(([each]) => each === name)?.[1]

export function readAnswer(response: BinaryResponse): Answered {
  const change = trailerOf(response.trailers, headers.change)
  const isProblem = trailerOf(response.headers, 'content-type') === 'application/json'
  const problem = isProblem
    ? (JSON.parse(Buffer.from(response.content).toString()) as { error?: { code: string } })
    : undefined
  return {
    response,
    content: response.content,
    change: change === undefined ? undefined : decodeChange(fromBase64Url(change, 'change')),
    receipt: trailerOf(response.trailers, headers.receipt),
    code: problem?.error?.code,
  }
}

/** A client with a wallet. */
export type TestClient = {
  readonly wallet: Wallet
  directory(): Promise<VerifiedDirectory>
  mint: WalletIssuer
  change(): Promise<WalletIssuer>
  buy(count: number): Promise<void>
  /** Takes tokens out and seals a request for the node. */
  order(options?: { count?: number; prompt?: string; node?: string }): Promise<Order>
  seal(request: {
    method?: string
    path: string
    headers?: readonly Field[]
    content?: Uint8Array
  }): Promise<{
    body: Uint8Array
    exchange: OhttpExchange
  }>
  post(body: Uint8Array, init?: RequestInit): Promise<Response>
  open(exchange: OhttpExchange, response: Response): Promise<Answered>
  /** Seals, sends and opens. */
  call(request: {
    method?: string
    path: string
    headers?: readonly Field[]
    content?: Uint8Array
  }): Promise<Answered>
  inferRequest(
    order: Order,
    fields?: readonly Field[],
  ): { path: string; headers: readonly Field[]; content: Uint8Array }
  infer(order: Order): Promise<Answered>
  reclaim(order: Order): Promise<Answered>
  /** What the node said, once its seal is off. @throws when it was cut */
  text(order: Order, answered: Answered): Promise<string>
}

export async function createClient(parameters: {
  readonly folder: string
  readonly url: () => string
  readonly gateway: IdentityKey
  readonly pair: TokenKeyPair
  readonly name?: string
}): Promise<TestClient> {
  const { folder, url, pair, name = GATEWAY } = parameters
  const wallet = await openWallet({
    path: join(folder, `wallet-${randomBytes(4).toString('hex')}`),
    secret: { kind: 'seed', seed: randomBytes(32) },
  })
  const mint = { publicKey: pair.publicKey, challenge: gatewayChallenge({ issuer: MINT, gateway: name }) }

  const directory = async () => {
    const document = await (await fetch(`${url()}/directory`)).text()
    return readDirectory(document, { name, identity: parameters.gateway.identity })
  }
  const outerKey = async (): Promise<OhttpKey> =>
    sealingKey(nodeHpke, Buffer.from((await directory()).directory.keys, 'base64'))

  const client: TestClient = {
    wallet,
    directory,
    mint,
    async change() {
      const key = (await directory()).directory.changeKeys.at(-1)?.key ?? ''
      return {
        publicKey: readTokenKey(Buffer.from(key, 'base64')),
        challenge: gatewayChallenge({ issuer: name, gateway: name }),
      }
    },
    async buy(count) {
      const requests = await wallet.request(mint, count)
      await wallet.receive(
        mint,
        requests.map(({ counter, request }) => ({
          counter,
          response: encodeTokenResponse(issueToken([pair], decodeTokenRequest(request))),
        })),
      )
    },
    async order({ count = 4, prompt = 'hi', node } = {}) {
      const { nodes } = await directory()
      const chosen = nodes.find(({ description }) => node === undefined || description.name === node)
      if (chosen === undefined) throw new Error('no node')
      const { sealer, exchange } = await sealChunkedRequest(await sealingKey(nodeHpke, chosen.keys))
      const innerRequest = await sealer.end(
        padRequest(
          encodeRequest({
            method: 'POST',
            scheme: 'https',
            authority: '',
            path: '/v1/chat/completions',
            headers: [],
            content: Buffer.from(prompt),
            trailers: [],
          }),
        ),
      )
      const change = await client.change()
      const spend = await wallet.spend({
        issuers: [mint, change],
        count,
        innerRequestHash: createHash('sha256').update(innerRequest).digest(),
        change,
      })
      return {
        spend,
        tokens: spend.tokens,
        changeRequests: spend.changeRequests,
        innerRequest,
        innerExchange: exchange,
      }
    },
    async seal({ method = 'POST', path, headers: fields = [], content = new Uint8Array() }) {
      const { sealer, exchange } = await sealChunkedRequest(await outerKey())
      const request = { method, scheme: 'https', authority: '', path, headers: fields, content, trailers: [] }
      return { body: await sealer.end(padRequest(encodeRequest(request))), exchange }
    },
    post: (body, init = {}) =>
      fetch(`${url()}/ohttp`, {
        method: 'POST',
        headers: { 'content-type': ohttpMediaTypes.chunkedRequest },
        body,
        ...init,
      }),
    async open(exchange, response) {
      const opener = openChunkedResponse(exchange, { maxMessageBytes: 1 << 30 })
      const parts: Uint8Array[] = []
      for await (const part of response.body ?? []) parts.push(...(await opener.push(part)))
      parts.push(await opener.end())
      return readAnswer(decodeResponse(Buffer.concat(parts), { maxContentBytes: 1 << 30 }))
    },
    async call(request) {
      const { body, exchange } = await client.seal(request)
      return client.open(exchange, await client.post(body))
    },
    inferRequest: (order, fields) => ({
      path: gatewayResources.infer,
      headers: fields ?? [
        [headers.node, 'node-1'],
        [headers.model, MODEL],
      ],
      content: encodePaidRequest(order),
    }),
    infer: (order) => client.call(client.inferRequest(order)),
    reclaim: (order) =>
      client.call({
        path: gatewayResources.reclaim,
        content: encodeReclaim({ ...order, innerRequestHash: order.spend.innerRequestHash }),
      }),
    async text(order, { content }) {
      const opener = openChunkedResponse(order.innerExchange, { maxMessageBytes: 1 << 30 })
      const parts = await opener.push(content)
      parts.push(await opener.end())
      return Buffer.concat(parts).toString()
    },
  }
  return client
}

export type LogLine = { readonly level: string; readonly message: string; readonly fields: object }

export function memoryLog(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A gateway with a mint, a node and a client around it. */
export type World = {
  readonly folder: string
  readonly identity: IdentityKey
  readonly mint: TestMint
  readonly node: TestNode
  readonly gateway: Gateway
  readonly client: TestClient
  readonly log: ReturnType<typeof memoryLog>
  /** Starts it anew with the same folder. */
  restart(options?: Partial<GatewayOptions>): Promise<void>
  close(): Promise<void>
}

export async function createWorld(options: Partial<GatewayOptions> = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-'))
  const identity = generateIdentity()
  const mint = await startTestMint()
  const node = await startTestNode(identity)
  const log = memoryLog()
  const start = (more: Partial<GatewayOptions>) =>
    startGateway({
      state: join(folder, 'gateway'),
      name: GATEWAY,
      identity,
      mints: [{ name: MINT, url: mint.url }],
      nodes: [{ url: node.url, identity: node.identity.identity }],
      nullifiers: memoryNullifiers(),
      answers: memoryAnswers(),
      logger: log,
      ...options,
      ...more,
    })
  let gateway = await start({})
  const client = await createClient({ folder, url: () => gateway.url, gateway: identity, pair: mint.pair })
  return {
    folder,
    identity,
    mint,
    node,
    log,
    get gateway() {
      return gateway
    },
    client,
    async restart(more = {}) {
      await gateway.close()
      gateway = await start(more)
    },
    async close() {
      await gateway.close()
      await Promise.all([mint.close(), node.close(), client.wallet.close()])
      await rm(folder, { recursive: true })
    },
  }
}
