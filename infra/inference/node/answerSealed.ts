import type { ServerResponse } from 'node:http'
import type { Field } from '../protocol/bhttp/message.ts'
import type { Usage } from '../protocol/network/price.ts'
import { problemOf, type Refusal } from '../protocol/network/problem.ts'
import { createReceipt, encodeReceipt } from '../protocol/network/receipt.ts'
import { headers } from '../protocol/network/routes.ts'
import { toBase64Url } from '../protocol/network/text.ts'
import type { ChunkSealer } from '../protocol/ohttp/chunked.ts'
import { RefusedError, UpstreamError } from './errors.ts'
import { type InnerRequest, readInnerRequest } from './innerRequest.ts'
import type { NodeModelOptions, NodeSettings } from './options.ts'
import { type Plan, planRequest } from './planRequest.ts'
import { readUpstreamAnswer, relayStream } from './relayAnswer.ts'
import { type Delivery, SealedAnswer } from './sealedAnswer.ts'
import { chargeOf } from './tokens.ts'
import type { Upstream } from './upstream.ts'

/** How a request ended that was opened. */
export type Outcome = 'answered' | 'refused' | 'upstream_failed' | 'cut' | Exclude<Delivery, 'delivered'>

const paths = { chat: '/chat/completions', embeddings: '/embeddings' } as const

/**
 * Answers a request that was opened. Everything that the client is told is sealed; the gateway gets a receipt with
 * every answer that is whole, and learns nothing else.
 */
export async function answerSealed(parameters: {
  readonly settings: NodeSettings
  readonly upstream: Upstream
  readonly response: ServerResponse
  readonly plaintext: Uint8Array
  readonly sealer: ChunkSealer
  /** In payment tokens. */
  readonly ceiling: number
  readonly innerRequestHash: Uint8Array
  /** The model that was paid for, as the gateway tells it; absent where it tells none. */
  readonly paidFor: string | undefined
  readonly onFirstByte: () => void
}): Promise<Outcome> {
  const { settings, upstream, response, sealer, ceiling, innerRequestHash, paidFor, onFirstByte } = parameters
  const { timeouts, limits } = settings
  const inner = attempt(() => readInnerRequest(parameters.plaintext))
  const shape = inner instanceof RefusedError ? {} : inner.shape
  // The upstream works for nobody when the gateway is gone, and not beyond what a node gives one answer.
  const stop = new AbortController()
  let limit: 'time' | 'size' | undefined
  const stopAt = (which: 'time' | 'size') => {
    limit ??= which
    stop.abort()
  }
  const answer = new SealedAnswer({
    response,
    sealer,
    shape,
    stalled: timeouts.stalled,
    onFirstByte,
    most: limits.sealedBytes,
    onFull: () => stopAt('size'),
  })

  const end = async (outcome: Outcome, model: string, used: number): Promise<Outcome> => {
    const receipt = createReceipt(settings.identity, { ceiling, used, model, innerRequestHash })
    const delivery = await answer.end(toBase64Url(encodeReceipt(receipt)))
    return delivery === 'delivered' ? outcome : delivery
  }
  const refuse = (outcome: Outcome, refusal: Refusal, name: string, model?: NodeModelOptions) => {
    answer.begin(refusal.status, answerFields('application/json', model))
    answer.push(Buffer.from(JSON.stringify(problemOf(refusal))))
    return end(outcome, name, 0)
  }

  const plan = inner instanceof RefusedError ? inner : attempt(() => planFor(inner, settings, ceiling))
  // A refusal's receipt is for the model that was paid for: the gateway counts any other as the node's failure.
  if (plan instanceof RefusedError) return refuse('refused', plan.refusal, paidFor ?? plan.model)
  const { model } = plan
  if (paidFor !== undefined && paidFor !== model.id) return refuse('refused', anotherModel, paidFor)
  const charge = (usage: Usage) => chargeOf(model.price, usage, ceiling)

  const whole = setTimeout(() => stopAt('time'), timeouts.whole)
  void answer.done.then(() => stop.abort())
  try {
    const kind = inner instanceof RefusedError ? 'chat' : inner.kind
    const message = await upstream.post(paths[kind], plan.body, stop.signal)
    const said = await readUpstreamAnswer(message, plan, { limits, timeouts })
    answer.begin(said.status, answerFields(said.contentType, model))
    if (said.form === 'whole') {
      answer.push(said.body)
      return await end('answered', model.id, charge(said.usage))
    }
    const streamed = await relayStream(message, plan, answer, { limits, timeouts })
    if (streamed.whole) return await end('answered', model.id, charge(streamed.usage))
    if (limit !== undefined && !answer.gone) {
      // The client chose how long and how padded it would be: what it got by then is paid, as if it were all.
      answer.push(Buffer.from(`\n\ndata: ${JSON.stringify(problemOf(limitRefusals[limit]))}\n\n`))
      return await end('cut', model.id, charge(streamed.usage))
    }
    const delivery = await answer.cut()
    return delivery === 'delivered' ? 'cut' : delivery
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    if (answer.gone) return (await answer.done) === 'stalled' ? 'stalled' : 'gone'
    const refusal: Refusal = { status: 502, code: 'upstream_failed', message: error.message, role: 'node' }
    return await refuse('upstream_failed', refusal, model.id, model)
  } finally {
    clearTimeout(whole)
  }
}

/** What is sealed names another model than the gateway was told, who judges receipt and price by that one. */
const anotherModel: Refusal = {
  status: 400,
  code: 'malformed',
  message: 'The body names another model than was paid for.',
  role: 'node',
}

const limitRefusals = {
  time: {
    status: 504,
    code: 'answer_too_long',
    message: 'The answer took longer than a node gives one answer.',
    role: 'node',
  },
  size: {
    status: 502,
    code: 'answer_too_large',
    message: 'The answer, sealed in its cells, is larger than a node gives one answer.',
    role: 'node',
  },
} as const satisfies Record<string, Refusal>

const planFor = ({ kind, body }: InnerRequest, { models }: NodeSettings, ceiling: number): Plan =>
  planRequest(body, { kind, models, ceiling })

function answerFields(contentType: string, model: NodeModelOptions | undefined): Field[] {
  const fields: Field[] = [['content-type', contentType]]
  return model === undefined
    ? fields
    : [...fields, [headers.privacy, model.privacy], [headers.model, model.id]]
}

/** What a function returns, or its refusal. Every other error goes on. */
function attempt<Value>(run: () => Value): Value | RefusedError {
  try {
    return run()
  } catch (error) {
    if (error instanceof RefusedError) return error
    throw error
  }
}
