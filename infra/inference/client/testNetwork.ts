import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listen } from '../../http/listen.ts'
import { readBody } from '../../http/readBody.ts'
import { encodeContent, encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import type { BinaryRequest } from '../protocol/bhttp/message.ts'
import { concatBytes } from '../protocol/binary/bytes.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { type Directory, type Measurements, signDirectory } from '../protocol/network/directory.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { type NodeModel, signNodeDescription } from '../protocol/network/nodeDescription.ts'
import { decodePaidRequest, decodeReclaim, tokenRequestLength } from '../protocol/network/payment.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { headers } from '../protocol/network/routes.ts'
import { sealedRequestLength } from '../protocol/network/sizes.ts'
import { sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, type GatewayKey, keyConfigOf, type OhttpExchange } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { requestBuckets } from '../protocol/padding.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { changeDigest } from '../tokens/change/changeDigest.ts'
import { decodeTokenRequest, issueToken } from '../tokens/privacyPass/issuance.ts'
import { openWallet, type Wallet } from '../tokens/wallet/openWallet.ts'
import { createAccountKey } from './mint.ts'
import type { NetworkOptions } from './options.ts'
import type { PathReport } from './pathReport.ts'
import {
  createTestGateway,
  type GatewayAnswer,
  type GatewayLie,
  hash,
  type NodeAsked,
  type NodeSays,
  openSealed,
  type Tampering,
  type TestNode,
} from './testRoles.ts'

/** What a relay does to one request: passes it on when undefined. */
export type RelayAction =
  | 'refuse-connection'
  /** Passes it on, and breaks off before the answer. */
  | 'lose-answer'
  /** Passes so many bytes of the answer. */
  | { readonly cutAfter: number }
  /** Answers in the clear. */
  | { readonly status: number; readonly type?: string; readonly body?: string }
  /** Passes the answer on in another order, or changed: the first piece at once, the others behind `after`. */
  | Tampering

/** Everything that a test can change while the network runs. */
export type TestScript = {
  /** For payments only: what else is asked is smaller than any of them. */
  relay: (request: { readonly relay: number }) => RelayAction | undefined
  gateway: (request: { readonly node: string; readonly count: number }) => GatewayLie
  node: (asked: NodeAsked) => NodeSays | Promise<NodeSays>
  /** What the witness gives for a directory. */
  witness: (document: string) => string | { readonly status: number; readonly body: string }
  /** What relays give for it. */
  directory: (document: string) => string | { readonly status: number; readonly body: string }
  measurements: Measurements
  /** Whether the mint breaks off once it has charged, or signs nothing. */
  mint: 'honest' | 'lose-answer' | 'unavailable'
}

const ok: TestScript = {
  relay: () => undefined,
  gateway: () => ({}),
  node: () => ({}),
  witness: (document) => document,
  directory: (document) => document,
  measurements: { nodes: [] },
  mint: 'honest',
}

export const testModel = (fields: Partial<NodeModel> = {}): NodeModel => ({
  id: 'test-model',
  privacy: 'private',
  context: 8_192,
  price: { prompt: 250, completion: 1_000 },
  serves: ['chat', 'embeddings'],
  ...fields,
})

/** Bytes of a sealed request in the smallest bucket. */
const smallRequest = sealedRequestLength(requestBuckets[0] ?? 0)
const gatewayName = 'gate'
const mintName = 'mint'
const keyPair = async (id: number): Promise<GatewayKey> =>
  createGatewayKey(nodeHpke, id, await nodeHpke.generateKeyPair())

/** A whole network in one server: two relays, a gateway, nodes, a mint that is a witness too. */
export async function startTestNetwork(
  nodes: readonly {
    readonly name: string
    readonly operator?: string
    readonly models?: readonly NodeModel[]
  }[] = [{ name: 'node-a' }, { name: 'node-b' }],
) {
  const identity = generateIdentity()
  const mintPair = await generateTokenKey()
  const mintPairs = [mintPair]
  const byName = new Map<string, TestNode>()
  for (const { name, operator = `${name}-operator`, models = [testModel()] } of nodes)
    byName.set(name, { name, operator, identity: generateIdentity(), key: await keyPair(1), models })
  const gateway = await createTestGateway({
    name: gatewayName,
    mint: { name: mintName, pair: mintPair },
    nodes: byName,
  })
  const script: TestScript = { ...ok }
  /** What each role was asked, for tests to look at. */
  const seen = {
    relay: [] as {
      readonly relay: number
      readonly length: number
      readonly headers: IncomingMessage['headers']
    }[],
    infer: [] as {
      readonly node: string
      readonly model: string
      readonly paid: number
      readonly tokens: readonly Uint8Array[]
    }[],
    asked: [] as NodeAsked[],
    paths: [] as string[],
    mint: [] as { readonly path: string; readonly count: number; readonly account: string | undefined }[],
    directories: 0,
  }
  let gatewayKey = await keyPair(7)
  let epoch = 0
  let document = ''
  /** What the witness has seen, by epoch. */
  const documents = new Map<string, string>()
  let account = { tokens: 100_000 }
  const paidFor = new Set<string>()
  let url = ''

  async function publish(changes: Partial<Directory> = {}): Promise<void> {
    const now = Math.floor(Date.now() / 1000)
    const period = { notBefore: now - 10, notAfter: now + 3_600 }
    epoch += 1
    document = await signDirectory(identity, {
      version: 1,
      gateway: gatewayName,
      epoch,
      ...period,
      keys: Buffer.from(encodeKeyConfigs([keyConfigOf(gatewayKey)])).toString('base64'),
      mints: [
        {
          name: mintName,
          url,
          keys: mintPairs.map(({ publicKey }, at) => ({
            key: Buffer.from(publicKey.spki).toString('base64'),
            notBefore: period.notBefore - at,
            notAfter: period.notAfter,
          })),
        },
      ],
      changeKeys: [{ key: Buffer.from(gateway.changePair.publicKey.spki).toString('base64'), ...period }],
      ceilings: [1, 4, 16],
      nodes: await Promise.all(
        [...byName.values()].map(({ name, operator, identity: own, key, models }) =>
          signNodeDescription(own, {
            version: 1,
            name,
            operator,
            ...period,
            keys: Buffer.from(encodeKeyConfigs([keyConfigOf(key)])).toString('base64'),
            models: [...models],
          }),
        ),
      ),
      ...changes,
    })
    documents.set(`/directories/${gatewayName}/${epoch}`, document)
  }

  async function serveSealed(relay: number, body: Uint8Array, response: ServerResponse): Promise<void> {
    const action = body.length > smallRequest ? script.relay({ relay }) : undefined
    if (action === 'refuse-connection') return void response.destroy()
    if (typeof action === 'object' && 'status' in action) {
      response.writeHead(action.status, { 'content-type': action.type ?? 'application/json' })
      return void response.end(action.body ?? '')
    }
    const opened = await openSealed(new Map([[gatewayKey.keyId, gatewayKey]]), body)
    if (opened === undefined) {
      response.writeHead(400, { 'content-type': 'application/problem+json' })
      return void response.end(JSON.stringify({ type: OHTTP_KEY_PROBLEM, title: 'Another key.' }))
    }
    const answer = await serveGateway(opened.request)
    if (action === 'lose-answer') {
      for await (const _ of answer.pieces);
      return void response.destroy()
    }
    await deliver(answer, opened.exchange, response, typeof action === 'object' ? action : undefined)
  }

  async function deliver(
    answer: GatewayAnswer,
    exchange: OhttpExchange,
    response: ServerResponse,
    action: Extract<RelayAction, { cutAfter: number } | Tampering> | undefined,
  ): Promise<void> {
    const sealer = await sealChunkedResponse(exchange)
    response.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse })
    let left = action !== undefined && 'cutAfter' in action ? action.cutAfter : Number.POSITIVE_INFINITY
    const kept: Uint8Array[] = []
    const send = (bytes: Uint8Array): boolean => {
      if (action !== undefined && 'tamper' in action) {
        if (kept.push(bytes) === 1) response.write(bytes)
      } else response.write(bytes.subarray(0, left))
      left -= bytes.length
      return left > 0
    }
    const head = encodeResponseHead({ informational: [], status: answer.status, headers: [] })
    let first = true
    for await (const piece of answer.pieces) {
      const content = encodeContent(piece)
      if (!send(await sealer.seal(first ? concatBytes(head, content) : content)) || response.destroyed) {
        // What was cut reaches its end all the same: the gateway settles.
        for await (const _ of answer.pieces);
        return void response.end()
      }
      first = false
    }
    send(await sealer.end(first ? concatBytes(head, answer.end()) : answer.end()))
    if (action !== undefined && 'tamper' in action) {
      await action.after
      for (const bytes of action.tamper(kept).slice(1)) response.write(bytes)
    }
    response.end()
  }

  async function serveGateway(request: BinaryRequest): Promise<GatewayAnswer> {
    const { path, content } = request
    const field = (name: string) => request.headers.find(([each]) => each === name)?.[1] ?? ''
    seen.paths.push(path)
    const whole = (status: number, bytes: Uint8Array): GatewayAnswer => ({
      status,
      pieces: (async function* () {
        if (bytes.length > 0) yield bytes
      })(),
      end: () => encodeEnd(),
    })
    if (path === '/measurements') return whole(200, Buffer.from(JSON.stringify(script.measurements)))
    if (path === '/token-status')
      return whole(200, Uint8Array.of((await gateway.nullifiers.isSpent(content)) ? 1 : 0))
    if (path === '/reissue') {
      const asked = decodeTokenRequest(content)
      const was = await gateway.nullifiers.wasSigned(changeDigest(asked.blindedMessage))
      return was ? whole(200, issueToken([gateway.changePair], asked)) : whole(404, new Uint8Array(0))
    }
    if (path === '/reclaim')
      return gateway.reclaim(decodeReclaim(content), script.gateway({ node: '', count: seen.infer.length }))
    const paid = decodePaidRequest(content)
    const node = field(headers.node)
    seen.infer.push({ node, model: field(headers.model), paid: paid.tokens.length, tokens: paid.tokens })
    const asked = { ...paid, innerRequestHash: hash(paid.innerRequest), node, model: field(headers.model) }
    return gateway.infer(asked, script.gateway({ node, count: seen.infer.length }), (what) => {
      seen.asked.push(what)
      return script.node(what)
    })
  }

  async function serveMint(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = request.method === 'POST' ? await readBody(request, { most: 1e6 }) : Buffer.alloc(0)
    const count = body.length / tokenRequestLength
    seen.mint.push({ path, count, account: request.headers.authorization })
    const end = (status: number, content: Uint8Array | string = ''): void => {
      response.writeHead(status).end(content)
    }
    if (path === '/.well-known/private-token-issuer-directory') {
      const keys = mintPairs.map(({ publicKey }) => ({
        'token-type': 2,
        'token-key': Buffer.from(publicKey.spki).toString('base64url'),
      }))
      return end(200, JSON.stringify({ 'token-keys': keys }))
    }
    if (path === '/account') return end(200, JSON.stringify(account))
    const requests = Array.from({ length: count }, (_, at) =>
      body.subarray(at * tokenRequestLength, (at + 1) * tokenRequestLength),
    )
    const digests = requests.map((each) => createHash('sha256').update(each).digest('hex'))
    const isPaid = (at: number) => paidFor.has(digests[at] ?? '')
    const refuse = (status: number, code: string, limit = {}): void =>
      end(status, JSON.stringify(problemOf({ status, code, message: '', role: 'mint', limit })))
    if (script.mint === 'unavailable') return refuse(503, 'state_unavailable')
    const asked = digests.filter((_, at) => !isPaid(at)).length
    if (path === '/token-reissue' && asked > 0) return refuse(404, 'never_signed')
    const signs = mintPairs[0]?.publicKey.id.at(-1)
    if (requests.some((each, at) => !isPaid(at) && decodeTokenRequest(each).truncatedTokenKeyId !== signs))
      return refuse(422, 'token_request_refused')
    if (asked > account.tokens) return refuse(402, 'account_empty', { ...account, asked })
    account = { tokens: account.tokens - asked }
    for (const each of digests) paidFor.add(each)
    if (script.mint === 'lose-answer') return void response.destroy()
    end(200, concatBytes(...requests.map((each) => issueToken(mintPairs, decodeTokenRequest(each)))))
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const [, relay = '', rest = ''] = /^\/relay-(\d)(\/.*)$/.exec(path) ?? []
    const giveDirectory = (from: TestScript['directory'], which = document): void => {
      seen.directories += 1
      const given = from(which)
      if (typeof given === 'string') response.end(given)
      else response.writeHead(given.status, { 'content-type': 'application/json' }).end(given.body)
    }
    if (rest === `/gateways/${gatewayName}/directory`) return giveDirectory(script.directory)
    const witnessed = documents.get(path)
    if (witnessed !== undefined) return giveDirectory(script.witness, witnessed)
    if (rest === `/gateways/${gatewayName}`) {
      const body = await readBody(request, { most: 2e7 })
      seen.relay.push({ relay: Number(relay), length: body.length, headers: request.headers })
      return serveSealed(Number(relay), body, response)
    }
    if (path.startsWith('/directories/')) return void response.writeHead(404).end()
    return serveMint(path, request, response)
  }

  const server = await listen(
    (request, response) => {
      serve(request, response).catch(() => response.destroy())
    },
    { what: 'test network' },
  )
  url = server.url
  await publish()
  const folder = await mkdtemp(join(tmpdir(), 'rialto-client-'))
  const wallets: Wallet[] = []
  const paths: PathReport[] = []
  const notices: unknown[] = []

  return {
    url,
    identity,
    script,
    seen,
    nodes: byName,
    gateway,
    /** Reports and notices of all clients. */
    paths,
    notices,
    publish,
    document: () => document,
    setAccount: (tokens: number) => {
      account = { tokens }
    },
    account: () => account.tokens,
    /** Gives gateway or node another key, which no directory names before the next is published. */
    async rotate(node?: string): Promise<void> {
      if (node === undefined) gatewayKey = await keyPair((gatewayKey.keyId + 1) % 256)
      const found = byName.get(node ?? '')
      if (found !== undefined) found.key = await keyPair(found.key.keyId + 1)
    },
    /** Has the mint sign with another key, whose tokens the gateway does not take. */
    async rotateMint(): Promise<void> {
      const last = mintPairs.map(({ publicKey }) => publicKey.id.at(-1))
      let pair = await generateTokenKey()
      while (last.includes(pair.publicKey.id.at(-1))) pair = await generateTokenKey()
      mintPairs.unshift(pair)
      await publish()
    },
    folder,
    async wallet(seed?: Uint8Array): Promise<Wallet> {
      const wallet = await openWallet({
        path: join(folder, `wallet-${wallets.length}`),
        secret: { kind: 'passphrase', passphrase: 'test' },
        scryptCost: 1024,
        ...(seed === undefined ? {} : { seed }),
      })
      wallets.push(wallet)
      return wallet
    },
    options: (wallet: Wallet, changes: Partial<NetworkOptions> = {}): NetworkOptions => ({
      relay: [`${url}/relay-0`, `${url}/relay-1`],
      gateway: { name: gatewayName, identity: identity.identity.text, witnesses: [url] },
      wallet,
      privacy: 'private',
      mint: { url, name: mintName, account: createAccountKey(), batch: 32, lowWater: 16 },
      onPath: (report) => paths.push(report),
      onNotice: (notice) => notices.push(notice),
      random: () => 0,
      looks: { first: 0, least: 60_000, most: 60_000 },
      ...changes,
    }),
    async close(): Promise<void> {
      await server.close()
      for (const wallet of wallets) await wallet.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type TestNetwork = Awaited<ReturnType<typeof startTestNetwork>>
