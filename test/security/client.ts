import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { openPrivateNetwork, type PrivateNetwork } from '../../infra/inference/client/openPrivateNetwork.ts'
import type { MintReference, NetworkOptions, Notice } from '../../infra/inference/client/options.ts'
import type { PathReport } from '../../infra/inference/client/pathReport.ts'
import { readProblem } from '../../infra/inference/client/respond.ts'
import { readNodeAnswer } from '../../infra/inference/client/sealForNode.ts'
import { fieldOf, sendSealed } from '../../infra/inference/client/sendSealed.ts'
import { createTransport, transportOf } from '../../infra/inference/client/transport.ts'
import { createTreasury } from '../../infra/inference/client/treasury.ts'
import { openPurse, type Purse } from '../../infra/inference/openPurse.ts'
import { encodeRequest } from '../../infra/inference/protocol/bhttp/encode.ts'
import type { Field } from '../../infra/inference/protocol/bhttp/message.ts'
import { concatBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { sealingKey } from '../../infra/inference/protocol/network/nodeDescription.ts'
import { encodePaidRequest } from '../../infra/inference/protocol/network/payment.ts'
import {
  gatewayResources,
  headers,
  mediaTypes,
  routes,
} from '../../infra/inference/protocol/network/routes.ts'
import { sealChunkedRequest } from '../../infra/inference/protocol/ohttp/chunked.ts'
import { padRequest } from '../../infra/inference/protocol/padding.ts'
import type { Wallet, WalletSpend } from '../../infra/inference/tokens/wallet/openWallet.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { GATEWAY, MINT, MODEL, type Roles } from './roles.ts'

/** The real client with a purse on the disk, and what a test wants to know of it. */
export type Client = PrivateNetwork & {
  readonly purse: Purse
  readonly wallet: Wallet
  readonly paths: PathReport[]
  readonly notices: Notice[]
  /** Closes network and purse. */
  close(grace?: number): Promise<void>
}

/**
 * Opens the client as `rialto inference` does, in the process of the test.
 *
 * @param options.onSpend is told of each payment once it is recorded, and may answer with another one
 */
export async function openClient(
  { network, folder }: Pick<Roles, 'network' | 'folder'>,
  options: {
    readonly name?: string
    readonly fetch?: typeof globalThis.fetch
    readonly onSpend?: (spend: WalletSpend) => WalletSpend
    readonly mint?: Partial<MintReference>
    readonly network?: Partial<NetworkOptions>
  } = {},
): Promise<Client> {
  const { name = 'test', fetch, onSpend = (spend) => spend } = options
  const purse = await openPurse({ directory: join(folder, 'purses'), name })
  const wallet: Wallet = { ...purse.wallet, spend: async (what) => onSpend(await purse.wallet.spend(what)) }
  const paths: PathReport[] = []
  const notices: Notice[] = []
  const opened = openPrivateNetwork({
    relay: network.relays,
    gateway: network.gateway,
    wallet,
    mint: { ...network.mint, account: purse.account, ...options.mint },
    memory: purse.memory,
    privacy: 'private',
    onPath: (report) => paths.push(report),
    onNotice: (notice) => notices.push(notice),
    ...(fetch === undefined ? {} : { fetch }),
    ...options.network,
  })
  return {
    ...opened,
    purse,
    wallet,
    paths,
    notices,
    async close(grace) {
      await opened.close(grace)
      await purse.close()
    },
  }
}

/** An OpenAI request to the private network. */
export const chat = (body: object = {}, init: RequestInit = {}): [string, RequestInit] => [
  'http://private.invalid/v1/chat/completions',
  {
    method: 'POST',
    body: JSON.stringify({
      model: MODEL,
      max_tokens: 50,
      messages: [{ role: 'user', content: 'Say yes.' }],
      ...body,
    }),
    ...init,
  },
]

/** A payment for something that no client would ask. */
export type Order = {
  readonly spend: WalletSpend
  readonly innerRequest: Uint8Array
  readonly open: (sealed: Uint8Array) => Promise<{ readonly status: number; readonly body: Buffer }>
}

/** What came back for an order. */
export type Answered = {
  readonly status: number
  readonly content: Buffer
  /** Of a problem that is not sealed for the client alone. */
  readonly code: string | null
  readonly hasChange: boolean
}

/**
 * Takes tokens and seals what is given for a node, whatever it is.
 *
 * @param what.plaintext is sealed as it is; a body goes into a request for `/v1/chat/completions`
 */
export async function makeOrder(
  client: Client,
  what: {
    readonly node: string
    readonly paid?: number
    readonly body?: Uint8Array
    readonly path?: string
    readonly plaintext?: Uint8Array
  },
): Promise<Order> {
  const directory = await client.directory()
  const node = directory.nodes.find(({ description }) => description.name === what.node)
  if (node === undefined) throw new InvariantError('The directory has no such node.', { node: what.node })
  const request = (content: Uint8Array) =>
    encodeRequest({
      method: 'POST',
      scheme: 'https',
      authority: '',
      path: what.path ?? '/v1/chat/completions',
      headers: [['content-type', 'application/json']],
      content,
      trailers: [],
    })
  const { sealer, exchange } = await sealChunkedRequest(await sealingKey(nodeHpke, node.keys))
  const innerRequest = await sealer.end(padRequest(what.plaintext ?? request(what.body ?? new Uint8Array(0))))
  const treasury = createTreasury({
    wallet: client.wallet,
    gateway: GATEWAY,
    mint: MINT,
    now: Date.now,
    onTrouble: () => undefined,
  })
  const hash = new Uint8Array(createHash('sha256').update(innerRequest).digest())
  const spend = await treasury.spend(directory, what.paid ?? 1, hash)
  return {
    spend,
    innerRequest,
    async open(sealed) {
      const reader = readNodeAnswer(exchange, { cells: 'off', cadence: 'off' })
      const body = Buffer.concat([await reader.push(sealed), await reader.end()])
      return { status: reader.head?.status ?? 0, body }
    },
  }
}

type Relayed = Pick<Roles, 'relay'>

/** Sends an order to the gateway through the relay, sealed anew. */
export const sendOrder = (
  client: Client,
  roles: Relayed,
  { spend, innerRequest }: Pick<Order, 'spend' | 'innerRequest'>,
  to: { readonly node: string; readonly model?: string; readonly fetch?: typeof globalThis.fetch },
): Promise<Answered> =>
  sendToGateway(client, roles, {
    path: gatewayResources.infer,
    headers: [
      ['content-type', mediaTypes.paidRequest],
      [headers.node, to.node],
      [headers.model, to.model ?? MODEL],
    ],
    content: encodePaidRequest({ ...spend, innerRequest }),
    ...(to.fetch === undefined ? {} : { fetch: to.fetch }),
  })

/** Seals anything for the gateway, sends it through the relay and opens what comes back. */
export async function sendToGateway(
  client: Client,
  roles: Relayed,
  what: {
    readonly path: string
    readonly headers?: readonly Field[]
    readonly content: Uint8Array
    readonly fetch?: typeof globalThis.fetch
  },
): Promise<Answered> {
  const transport = what.fetch === undefined ? createTransport() : transportOf(what.fetch)
  try {
    const { response } = await sendSealed({
      transport,
      url: roles.relay.url + routes.relay.gateway(GATEWAY),
      key: (await client.directory()).gatewayKey,
      request: {
        method: 'POST',
        scheme: 'https',
        authority: '',
        path: what.path,
        headers: what.headers ?? [],
        content: what.content,
        trailers: [],
      },
      firstByte: 30_000,
      idle: 30_000,
    })
    const parts: Uint8Array[] = []
    for (;;) {
      const { done, value } = await response.content.next()
      if (done !== true) {
        parts.push(value)
        continue
      }
      const content = Buffer.from(concatBytes(...parts))
      return {
        status: response.status,
        content,
        code: readProblem(content)?.error.code ?? null,
        hasChange: fieldOf(value, headers.change) !== undefined,
      }
    }
  } finally {
    transport.close()
  }
}
