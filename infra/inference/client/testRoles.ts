import { createHash } from 'node:crypto'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { decodeRequest } from '../protocol/bhttp/decode.ts'
import { encodeContent, encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import type { BinaryRequest, Field } from '../protocol/bhttp/message.ts'
import { concatBytes } from '../protocol/binary/bytes.ts'
import { CellPacker } from '../protocol/cells.ts'
import { generateIdentity, type IdentityKey } from '../protocol/network/identity.ts'
import type { NodeModel } from '../protocol/network/nodeDescription.ts'
import { encodeChange } from '../protocol/network/payment.ts'
import { costOf } from '../protocol/network/price.ts'
import { problemOf, type Refusal } from '../protocol/network/problem.ts'
import { createReceipt, encodeReceipt } from '../protocol/network/receipt.ts'
import { headers } from '../protocol/network/routes.ts'
import { toBase64Url } from '../protocol/network/text.ts'
import { openChunkedRequest, sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import type { GatewayKey, GatewayKeys } from '../protocol/ohttp/keys.ts'
import { generateTokenKey, type TokenKeyPair } from '../tokens/blindRsa/keys.ts'
import { changeDigest } from '../tokens/change/changeDigest.ts'
import { signChange } from '../tokens/change/signChange.ts'
import { bindSpend } from '../tokens/change/spend.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { decodeTokenRequest } from '../tokens/privacyPass/issuance.ts'
import { createRedeemer } from '../tokens/privacyPass/redemption.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'

/** What a scripted node is asked. */
export type NodeAsked = {
  readonly node: string
  readonly path: string
  readonly body: Record<string, unknown>
  readonly headers: readonly Field[]
  readonly ceiling: number
}

/** What it answers; everything left out is honest. */
export type NodeSays = {
  readonly status?: number
  readonly contentType?: string
  /** A whole body, as JSON. */
  readonly body?: unknown
  /** Server-sent events, each sealed by itself; a promise is waited for. */
  readonly events?: readonly (string | Promise<unknown>)[]
  /** Tokens of the model's own, for the receipt and, in a body that names none, for its usage. */
  readonly usage?: { readonly prompt: number; readonly completion: number }
  /** In payment tokens, whatever the usage. */
  readonly used?: number
  readonly privacy?: string
  readonly model?: string
  readonly receipt?: 'absent' | 'forged' | 'other-model'
  /** Cut before its end: without a final chunk or a receipt. */
  readonly cut?: boolean
}

export type TestNode = {
  readonly name: string
  readonly operator: string
  readonly identity: IdentityKey
  key: GatewayKey
  models: readonly NodeModel[]
}

/** What is done to the pieces of an answer, the first one excepted, which passes at once. */
export type Tampering = {
  readonly tamper: (pieces: readonly Uint8Array[]) => readonly Uint8Array[]
  readonly after?: Promise<unknown>
}

/** What a lying gateway does. */
export type GatewayLie = {
  /** Answers so before it takes anything. */
  readonly refuse?: Refusal
  /** Takes the payment and answers so, with all change. */
  readonly fail?: Refusal
  /** Of the change: none, one token too few, or signed with another key. */
  readonly change?: 'missing' | 'short' | 'invalid'
  /** What it does to the node's sealed answer. */
  readonly tampering?: Tampering
}

/** Pieces of an answer to a client, before they are sealed for it, with what ends it. */
export type GatewayAnswer = {
  readonly status: number
  readonly pieces: AsyncIterable<Uint8Array>
  end(): Uint8Array
}

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())

/** Tokens and change of a gateway in memory, as honest as it is told to be. */
export async function createTestGateway(parameters: {
  readonly name: string
  readonly mint: { readonly name: string; readonly pair: TokenKeyPair }
  readonly nodes: ReadonlyMap<string, TestNode>
}) {
  const { name, mint, nodes } = parameters
  const changePair = await generateTokenKey()
  const wrongPair = await generateTokenKey()
  const nullifiers = memoryNullifiers()
  const redeem = createRedeemer([
    { publicKey: mint.pair.publicKey, challenge: gatewayChallenge({ issuer: mint.name, gateway: name }) },
    { publicKey: changePair.publicKey, challenge: gatewayChallenge({ issuer: name, gateway: name }) },
  ])
  /** What was delivered for a payment, by its binding. */
  const delivered = new Map<
    string,
    { readonly head: number; readonly pieces: Uint8Array[]; end: Uint8Array | undefined }
  >()

  type Payment = {
    readonly tokens: readonly Uint8Array[]
    readonly changeRequests: readonly Uint8Array[]
    readonly innerRequestHash: Uint8Array
  }

  function check({ tokens, changeRequests, innerRequestHash }: Payment) {
    const requests = changeRequests.map(decodeTokenRequest)
    const binding = bindSpend({
      innerRequestHash,
      blindedMessages: requests.map((each) => each.blindedMessage),
    })
    return { requests, spend: { nullifiers: tokens.map((each) => redeem(each).nullifier), binding } }
  }

  async function settle(
    { requests, spend }: ReturnType<typeof check>,
    due: number,
    lie: GatewayLie['change'],
  ): Promise<Field[]> {
    const messages = requests.slice(0, due).map((each) => changeDigest(each.blindedMessage))
    await nullifiers.settle(spend, due, messages)
    if (lie === 'missing') return []
    const paid = requests.length
    const responses =
      lie === 'invalid'
        ? requests.slice(0, due).map(
            (each) =>
              signChange({
                keys: [wrongPair],
                paid: 1,
                due: 1,
                requests: [{ ...each, truncatedTokenKeyId: wrongPair.publicKey.id[31] ?? 0 }],
              })[0],
          )
        : signChange({ keys: [changePair], requests, paid, due: lie === 'short' ? due - 1 : due })
    const change = responses.filter((each) => each !== undefined)
    return [[headers.change, toBase64Url(encodeChange({ paid, responses: change }))]]
  }

  const refusal = (said: Refusal, trailers: readonly Field[] = []): GatewayAnswer => ({
    status: said.status,
    pieces: (async function* () {
      yield Buffer.from(JSON.stringify(problemOf(said)))
    })(),
    end: () => encodeEnd(trailers),
  })

  return {
    changePair,
    nullifiers,
    async infer(
      parameters: Payment & {
        readonly node: string
        readonly model: string
        readonly innerRequest: Uint8Array
      },
      lie: GatewayLie,
      ask: (asked: NodeAsked) => NodeSays | Promise<NodeSays>,
    ): Promise<GatewayAnswer> {
      if (lie.refuse !== undefined) return refusal(lie.refuse)
      const checked = check(parameters)
      const key = Buffer.from(checked.spend.binding).toString('hex')
      const before = delivered.get(key)
      if (before !== undefined)
        return {
          status: before.head,
          pieces: (async function* () {
            yield* before.pieces
          })(),
          end: () => before.end ?? encodeEnd(),
        }
      const reservation = await nullifiers.reserve(checked.spend).catch(() => null)
      if (reservation === null)
        return refusal({ status: 409, code: 'token_spent', message: 'Spent.', role: 'gateway' })
      const paid = checked.requests.length
      if (lie.fail !== undefined) return refusal(lie.fail, await settle(checked, paid, lie.change))
      const node = nodes.get(parameters.node)
      if (node === undefined) throw new InvariantError('The test has no such node.')
      const answer = await answerAsNode(node, { ...parameters, ceiling: paid }, ask)
      if (answer === 'key_unknown')
        return refusal(
          { status: 503, code: 'node_key_unknown', message: 'Another key.', role: 'gateway' },
          await settle(checked, paid, lie.change),
        )
      const record: { head: number; pieces: Uint8Array[]; end: Uint8Array | undefined } = {
        head: 200,
        pieces: [],
        end: undefined,
      }
      delivered.set(key, record)
      const tampered = async function* (): AsyncGenerator<Uint8Array> {
        const all: Uint8Array[] = []
        for await (const piece of answer.pieces) {
          if (all.push(piece) === 1 || lie.tampering === undefined) yield piece
        }
        await lie.tampering?.after
        yield* lie.tampering?.tamper(all).slice(1) ?? []
      }
      return {
        status: 200,
        pieces: (async function* () {
          for await (const piece of tampered()) {
            record.pieces.push(piece)
            yield piece
          }
          const { used, receipt } = answer.ending()
          const trailers = await settle(checked, used === null ? paid : paid - used, lie.change)
          if (receipt !== undefined) trailers.unshift([headers.receipt, receipt])
          record.end = encodeEnd(trailers)
        })(),
        end: () => record.end ?? encodeEnd(),
      }
    },
    async reclaim(payment: Payment, lie: GatewayLie): Promise<GatewayAnswer> {
      const checked = check(payment)
      const reservation = await nullifiers.reserve(checked.spend).catch(() => null)
      if (reservation === null)
        return refusal({ status: 409, code: 'token_spent', message: 'Spent.', role: 'gateway' })
      const due =
        reservation.kind === 'repeated' && reservation.change !== null
          ? reservation.change
          : checked.requests.length
      const trailers = await settle(checked, due, lie.change)
      return { status: 200, pieces: (async function* () {})(), end: () => encodeEnd(trailers) }
    },
  }
}

/** Opens the inner request and seals what the script says. */
async function answerAsNode(
  node: TestNode,
  parameters: {
    readonly innerRequest: Uint8Array
    readonly innerRequestHash: Uint8Array
    readonly model: string
    readonly ceiling: number
  },
  ask: (asked: NodeAsked) => NodeSays | Promise<NodeSays>,
) {
  const { innerRequest, model, ceiling } = parameters
  const opened = await openSealed(new Map([[node.key.keyId, node.key]]), innerRequest)
  if (opened === undefined) return 'key_unknown' as const
  const { request, exchange } = opened
  const body = JSON.parse(Buffer.from(request.content).toString('utf8')) as Record<string, unknown>
  const says = await ask({ node: node.name, path: request.path, body, headers: request.headers, ceiling })
  const offered = node.models.find(({ id }) => id === model)
  const { usage = { prompt: 10, completion: 20 }, status = 200 } = says
  const cost = offered === undefined || status >= 400 ? 0 : Math.min(ceiling, costOf(offered.price, usage))
  const used = says.used ?? cost
  const cells = request.headers.find(([name]) => name === headers.cells)?.[1]
  const sealer = await sealChunkedResponse(exchange)

  async function* plaintexts(): AsyncGenerator<Uint8Array> {
    const type = says.contentType ?? (says.events === undefined ? 'application/json' : 'text/event-stream')
    yield encodeResponseHead({
      informational: [],
      status,
      headers: [
        ['content-type', type],
        [headers.privacy, says.privacy ?? offered?.privacy ?? ''],
        [headers.model, says.model ?? model],
      ],
    })
    if (says.events === undefined)
      yield encodeContent(Buffer.from(JSON.stringify(says.body ?? completion(model, usage))))
    for (const event of says.events ?? []) {
      if (typeof event === 'string') yield encodeContent(Buffer.from(event))
      else await event
    }
    if (says.cut !== true) yield encodeEnd()
  }
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const packer = cells === undefined ? undefined : new CellPacker(Number(cells))
    for await (const bytes of plaintexts()) {
      if (packer === undefined) yield await sealer.seal(bytes)
      else {
        const filled = packer.push(bytes)
        if (packer.pending > 0) filled.push(packer.flush())
        yield await sealer.seal(concatBytes(...filled))
      }
    }
    if (says.cut !== true) yield await sealer.end()
  }
  return {
    pieces: pieces(),
    /** What the gateway learns at the end: null where it can charge nothing. */
    ending(): { readonly used: number | null; readonly receipt: string | undefined } {
      if (says.cut === true || says.receipt === 'absent') return { used: null, receipt: undefined }
      const receipt = createReceipt(says.receipt === 'forged' ? generateIdentity() : node.identity, {
        ceiling,
        used,
        model: says.receipt === 'other-model' ? 'other' : model,
        innerRequestHash: parameters.innerRequestHash,
      })
      return { used, receipt: toBase64Url(encodeReceipt(receipt)) }
    },
  }
}

/** A chat completion as OpenAI's API has it. */
export const completion = (
  model: string,
  usage: { readonly prompt: number; readonly completion: number },
  content = 'Yes.',
) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 0,
  model,
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', logprobs: null }],
  usage: {
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
  },
})

/** Opens a sealed request; undefined when it is for another key. */
export async function openSealed(keys: GatewayKeys, sealed: Uint8Array) {
  const opener = openChunkedRequest(keys)
  try {
    const parts = await opener.push(sealed)
    parts.push(await opener.end())
    const request: BinaryRequest = decodeRequest(concatBytes(...parts))
    return opener.opened === undefined ? undefined : { request, exchange: opener.opened.exchange }
  } catch (error) {
    if ((error as { code?: string }).code === 'OHTTP_KEY') return undefined
    throw error
  }
}

export { hash }
