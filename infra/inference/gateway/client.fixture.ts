import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { decodeResponse } from '../protocol/bhttp/decode.ts'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import type { BinaryResponse, Field } from '../protocol/bhttp/message.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { readDirectory, type VerifiedDirectory } from '../protocol/network/directory.ts'
import type { IdentityKey } from '../protocol/network/identity.ts'
import { sealingKey } from '../protocol/network/nodeDescription.ts'
import { decodeChange, encodePaidRequest, encodeReclaim, type Payment } from '../protocol/network/payment.ts'
import { gatewayResources, headers } from '../protocol/network/routes.ts'
import { fromBase64Url } from '../protocol/network/text.ts'
import { openChunkedResponse, sealChunkedRequest } from '../protocol/ohttp/chunked.ts'
import type { OhttpExchange, OhttpKey } from '../protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../protocol/padding.ts'
import { readTokenKey, type TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { bindSpend, type Spend } from '../tokens/change/spend.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../tokens/privacyPass/issuance.ts'
import { decodeToken, nullifierOf } from '../tokens/privacyPass/token.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import { openWallet, type Wallet, type WalletIssuer, type WalletSpend } from '../tokens/wallet/openWallet.ts'
import { GATEWAY, MINT, MODEL } from './peers.fixture.ts'

/** A payment together with what it is for, and with what opens the answer. */
export type Order = Payment & {
  readonly spend: WalletSpend
  readonly innerRequest: Uint8Array
  readonly innerExchange: OhttpExchange
}

/** What a gateway reserves for an order. */
export const spendOf = ({ tokens, changeRequests, spend }: Order): Spend => ({
  nullifiers: tokens.map((token) => nullifierOf(decodeToken(token))),
  binding: bindSpend({
    innerRequestHash: spend.innerRequestHash,
    blindedMessages: changeRequests.map((request) => decodeTokenRequest(request).blindedMessage),
  }),
})

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
  order(options?: {
    count?: number
    prompt?: string
    node?: string
    issuers?: readonly WalletIssuer[]
  }): Promise<Order>
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
  reclaimRequest(order: Order): { path: string; content: Uint8Array }
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
  readonly seed?: Uint8Array
}): Promise<TestClient> {
  const { folder, url, pair, name = GATEWAY, seed = randomBytes(32) } = parameters
  const wallet = await openWallet({
    path: join(folder, `wallet-${randomBytes(4).toString('hex')}`),
    secret: { kind: 'seed', seed },
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
    async order({ count = 4, prompt = 'hi', node, issuers } = {}) {
      const { nodes } = await directory()
      const chosen = nodes.find(({ description }) => node === undefined || description.name === node)
      if (chosen === undefined) throw new InvariantError('The directory has no such node.')
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
        issuers: issuers ?? [mint, change],
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
    reclaimRequest: (order) => ({
      path: gatewayResources.reclaim,
      content: encodeReclaim({ ...order, innerRequestHash: order.spend.innerRequestHash }),
    }),
    reclaim: (order) => client.call(client.reclaimRequest(order)),
    async text(order, { content }) {
      const opener = openChunkedResponse(order.innerExchange, { maxMessageBytes: 1 << 30 })
      const parts = await opener.push(content)
      parts.push(await opener.end())
      return Buffer.concat(parts).toString()
    },
  }
  return client
}
