import { keccak256, recoverTransactionAddress } from 'viem'
import { z } from 'zod'
import { decodeResponse } from '../../infra/inference/protocol/bhttp/decode.ts'
import { suiteLengths } from '../../infra/inference/protocol/hpke/suite.ts'
import { decodePaidRequest } from '../../infra/inference/protocol/network/payment.ts'
import { costOf, type Usage } from '../../infra/inference/protocol/network/price.ts'
import { decodeReceipt } from '../../infra/inference/protocol/network/receipt.ts'
import { gatewayResources, headers, routes } from '../../infra/inference/protocol/network/routes.ts'
import { fromBase64Url } from '../../infra/inference/protocol/network/text.ts'
import { requestHeaderLength } from '../../infra/inference/protocol/ohttp/keys.ts'
import { decodeTokenRequest } from '../../infra/inference/tokens/privacyPass/issuance.ts'
import { decodeToken } from '../../infra/inference/tokens/privacyPass/token.ts'
import { isPaid } from './framing.ts'
import { gatewayName, nodeOf, price, type Recording, upstreamKeyOf } from './network.ts'
import { digest, field, openWith } from './open.ts'
import { type Exchange, readExchanges } from './readHttp.ts'

/** What can be known of one request. All as text, so that it can be compared. */
export type Known = {
  readonly address?: string
  /** Bytes of the sealed requests, to the gateway and to the node. */
  readonly outer?: string
  readonly inner?: string
  readonly model?: string
  /** The nonces of its tokens. */
  readonly tokens?: string
  readonly node?: string
  readonly paid?: string
  readonly used?: string
  readonly prompt?: string
  readonly completion?: string
}

/** One request as one role saw it. */
export type Sighting = {
  /** Milliseconds. */
  readonly began: number
  readonly ended: number
  readonly known: Known
  /** What the same request is known by to others: equal marks mean the same request. */
  readonly marks: readonly string[]
  /** Everything in it that could be the same in another request of the same client. */
  readonly traits: readonly string[]
  /** Bytes of the sealed answer. */
  readonly answer: number
}

/** Something a client did that is no request: a purchase, or a transaction. */
export type Deed = {
  readonly at: number
  readonly address: string
  /** Its key at the mint. */
  readonly account?: string
  /** Its address on the chain, and the transaction. */
  readonly chainAccount?: string
  readonly action?: string
}

export type Observed = {
  readonly requests: readonly Sighting[]
  readonly deeds: readonly Deed[]
  /** When some client, nobody knows which, did what clients do when they start. */
  readonly starts: readonly number[]
  /** Everything that its keys opened. */
  readonly opened: readonly Uint8Array[]
}

/** All exchanges of a recording on one kind of link. */
export const exchangesOf = ({ connections }: Recording, link: string): readonly Exchange[] =>
  connections.filter((each) => each.link.startsWith(link)).flatMap(readExchanges)

const isPost = ({ request }: Exchange): boolean => request.start.startsWith('POST ')

/** Reads a role's view for all that it says of requests and clients. */
export async function observe(recording: Recording): Promise<Observed> {
  switch (recording.role) {
    case 'relay':
      return {
        requests: exchangesOf(recording, 'client-relay').flatMap(asRelay),
        deeds: [],
        starts: [],
        opened: [],
      }
    case 'gateway':
      return asGateway(recording)
    case 'node':
      return asNode(recording)
    case 'upstream':
      return asUpstream(recording)
    case 'mint':
      return {
        requests: [],
        deeds: exchangesOf(recording, 'client-mint').flatMap(asMint),
        starts: [],
        opened: [],
      }
    case 'chain': {
      const deeds = await Promise.all(exchangesOf(recording, 'client-chain').map(asChain))
      return { requests: [], deeds: deeds.flat(), starts: [], opened: [] }
    }
    case 'witness': {
      const deeds = exchangesOf(recording, 'client-witness').map(({ from, request }) => ({
        at: request.began,
        address: from,
      }))
      return { requests: [], deeds, starts: [], opened: [] }
    }
  }
}

function asRelay(exchange: Exchange): readonly Sighting[] {
  const { from, request, response } = exchange
  if (!request.start.startsWith(`POST ${routes.relay.gateway(gatewayName)} `)) return []
  // Whoever pays nothing asks for the measurements of the nodes, and for no answer.
  if (!isPaid(response.body)) return []
  return [
    {
      began: request.began,
      ended: response.ended,
      known: { address: from, outer: String(request.body.length) },
      marks: [`outer ${digest(request.body)}`],
      traits: [from],
      answer: response.body.length,
    },
  ]
}

async function asGateway(recording: Recording): Promise<Observed> {
  const requests: Sighting[] = []
  const starts: number[] = []
  const opened: Uint8Array[] = []
  for (const { request, response } of exchangesOf(recording, 'relay-gateway').filter(isPost)) {
    const found = await openWith(recording.keys, request.body, response.body)
    if (found === undefined) continue
    const { headers: fields, content, path } = found.request
    opened.push(content, ...(found.response === undefined ? [] : [found.response.content]))
    opened.push(
      Buffer.from(JSON.stringify([found.request.headers, found.response?.headers, found.response?.trailers])),
    )
    if (path === gatewayResources.measurements) starts.push(request.began)
    if (path !== gatewayResources.infer) continue
    const { tokens, changeRequests, innerRequest } = decodePaidRequest(content)
    const nonces = tokens.map((token) => hex(decodeToken(token).nonce))
    const receipt = field(found.response?.trailers ?? [], headers.receipt)
    requests.push({
      began: request.began,
      ended: response.ended,
      known: {
        outer: String(request.body.length),
        inner: String(innerRequest.length),
        model: field(fields, headers.model) ?? '',
        node: field(fields, headers.node) ?? '',
        tokens: nonces.toSorted().join(),
        paid: String(tokens.length),
        ...(receipt === undefined
          ? {}
          : { used: String(decodeReceipt(fromBase64Url(receipt, 'a receipt')).used) }),
      },
      marks: [`outer ${digest(request.body)}`, `inner ${digest(innerRequest)}`],
      traits: [
        ...[...request.headers].map(([name, value]) => `${name}: ${value}`),
        ...fields.map(([name, value]) => `${name}: ${value}`),
        ...tokens.flatMap((token) => Object.values(decodeToken(token)).flatMap(pieces)),
        ...changeRequests.flatMap((each) => pieces(decodeTokenRequest(each).blindedMessage)),
        ...traitsOfSealed(innerRequest),
        ...traitsOfSealed(request.body),
      ],
      answer: response.body.length,
    })
  }
  return { requests, deeds: [], starts, opened }
}

const bodySchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ content: z.string() })),
})

async function asNode(recording: Recording): Promise<Observed> {
  const requests: Sighting[] = []
  const opened: Uint8Array[] = []
  for (const exchange of exchangesOf(recording, 'gateway-node').filter(isPost)) {
    const { request, response, link } = exchange
    // The answer comes within a Binary HTTP response, with the receipt behind it.
    const whole = decodeResponse(response.body)
    const found = await openWith(recording.keys, request.body, whole.content)
    if (found === undefined) continue
    const body = bodySchema.parse(JSON.parse(Buffer.from(found.request.content).toString('utf8')))
    const prompt = body.messages.at(-1)?.content ?? ''
    const receipt = decodeReceipt(fromBase64Url(field(whole.trailers, headers.receipt) ?? '', 'a receipt'))
    const said = found.response?.content ?? new Uint8Array(0)
    opened.push(found.request.content, said)
    requests.push({
      began: request.began,
      ended: response.ended,
      known: {
        inner: String(request.body.length),
        model: body.model,
        node: link === 'gateway-node-private' ? nodeOf.private : nodeOf.anonymized,
        paid: String(receipt.ceiling),
        used: String(receipt.used),
        prompt,
        completion: completionIn(said),
      },
      marks: [`inner ${digest(request.body)}`, `prompt ${prompt}`],
      traits: [
        ...[...request.headers].map(([name, value]) => `${name}: ${value}`),
        ...found.request.headers.map(([name, value]) => `${name}: ${value}`),
        ...traitsOfBody(body),
        ...traitsOfSealed(request.body),
      ],
      answer: whole.content.length,
    })
  }
  return { requests, deeds: [], starts: [], opened }
}

function asUpstream(recording: Recording): Observed {
  const requests = exchangesOf(recording, 'node-upstream')
    .filter(isPost)
    .map(({ request, response }): Sighting => {
      const body = bodySchema.parse(JSON.parse(Buffer.from(request.body).toString('utf8')))
      const key = request.headers.get('authorization') ?? ''
      const prompt = body.messages.at(-1)?.content ?? ''
      return {
        began: request.began,
        ended: response.ended,
        known: {
          model: body.model,
          node: key.endsWith(upstreamKeyOf.anonymized) ? nodeOf.anonymized : nodeOf.private,
          // Prices are in the directory, for everybody.
          used: String(costOf(price, usageIn(response.body))),
          prompt,
          completion: completionIn(response.body),
        },
        marks: [`prompt ${prompt}`],
        traits: [...[...request.headers].map(([name, value]) => `${name}: ${value}`), ...traitsOfBody(body)],
        answer: response.body.length,
      }
    })
  return { requests, deeds: [], starts: [], opened: [] }
}

function asMint({ from, request }: Exchange): readonly Deed[] {
  const account = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
  return account === undefined ? [] : [{ at: request.began, address: from, account }]
}

const rpcSchema = z.object({ method: z.string(), params: z.array(z.string()) })

async function asChain({ from, request }: Exchange): Promise<readonly Deed[]> {
  const { method, params } = rpcSchema.parse(JSON.parse(Buffer.from(request.body).toString('utf8')))
  if (method !== 'eth_sendRawTransaction') return []
  const transaction = params[0] as `0x02${string}`
  const chainAccount = await recoverTransactionAddress({ serializedTransaction: transaction })
  return [{ at: request.began, address: from, chainAccount, action: keccak256(transaction) }]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/**
 * A field cut into pieces of 16 bytes, the last of which may lap over the one before: a longer thing that two requests
 * share shows in one of them, and no piece of random bytes is short enough to be the same by chance.
 */
function pieces(bytes: Uint8Array): readonly string[] {
  const all: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const from = Math.max(0, Math.min(at, bytes.length - 16))
    all.push(hex(bytes.subarray(from, from + 16)))
  }
  return all
}

/** The header names the key, for everybody alike; behind it are `enc` and what is sealed. */
const traitsOfSealed = (sealed: Uint8Array): readonly string[] => {
  const header = requestHeaderLength - suiteLengths.Nenc
  return [hex(sealed.subarray(0, header)), ...pieces(sealed.subarray(header))]
}

const traitsOfBody = (body: Record<string, unknown>): readonly string[] =>
  Object.entries(body).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)

const messageSchema = z.object({ content: z.string().optional() })
const answerSchema = z.object({
  choices: z.array(z.object({ message: messageSchema.optional(), delta: messageSchema.optional() })),
  usage: z.object({ prompt_tokens: z.int(), completion_tokens: z.int() }).nullish(),
})

/** The parts of an answer in OpenAI's form, plain or streamed. */
function partsOf(answer: Uint8Array): readonly z.infer<typeof answerSchema>[] {
  const text = Buffer.from(answer).toString('utf8')
  const events = text.startsWith('{')
    ? [text]
    : text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [line.slice('data: '.length)] : []))
  return events.map((event) => answerSchema.parse(JSON.parse(event)))
}

const completionIn = (answer: Uint8Array): string =>
  partsOf(answer)
    .flatMap(({ choices }) => choices)
    .map(({ message, delta }) => (message ?? delta)?.content ?? '')
    .join('')

function usageIn(answer: Uint8Array): Usage {
  const usage = partsOf(answer).findLast((part) => part.usage)?.usage
  return { prompt: usage?.prompt_tokens ?? 0, completion: usage?.completion_tokens ?? 0 }
}
