import type { Agent } from 'node:http'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Logger } from '../../../runtime/core/ports.ts'
import { encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import type { BinaryRequest, Field } from '../protocol/bhttp/message.ts'
import { equalBytes } from '../protocol/binary/bytes.ts'
import { putVarint, varintLength } from '../protocol/binary/varint.ts'
import { createAuthorization } from '../protocol/network/authorization.ts'
import type { IdentityKey } from '../protocol/network/identity.ts'
import { decodePaidRequest } from '../protocol/network/payment.ts'
import type { Refusal } from '../protocol/network/problem.ts'
import { checkReceipt, decodeReceipt, modelDigest } from '../protocol/network/receipt.ts'
import { headers } from '../protocol/network/routes.ts'
import { sealedRequestLengths } from '../protocol/network/sizes.ts'
import { fromBase64Url } from '../protocol/network/text.ts'
import { maxChunkLength } from '../protocol/ohttp/chunkFrames.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { sha256 } from '../tokens/bytes.ts'
import type { AnswerCache } from '../tokens/redelivery/answerCache.ts'
import { askNode, field, type NodeAnswer, type SealedRequest } from './askNode.ts'
import type { Delivery } from './deliveries.ts'
import type { DirectoryKeeper, ServedNode } from './directory.ts'
import { kindOf } from './errors.ts'
import type { NodeMeasurements } from './measurements.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { GatewayLimits } from './options.ts'
import { type CheckedPayment, checkPayment, isRefusal } from './payments.ts'
import { encodeRefusal, refusals } from './problems.ts'
import type { Settler } from './settlement.ts'
import type { Slots } from './slots.ts'
import type { Spends } from './spends.ts'

export type InferParts = {
  readonly identity: IdentityKey
  readonly directory: DirectoryKeeper
  readonly spends: Spends
  readonly settler: Settler
  readonly answers: AnswerCache
  readonly slots: Slots
  readonly measurements: NodeMeasurements
  readonly metrics: GatewayMetrics
  readonly limits: GatewayLimits
  readonly agentFor: (url: string) => Agent
  /** Asks a node for its description, because it says that it has another key. */
  readonly onKeyUnknown: (node: ServedNode) => void
  /** Aborted when what is under way is cut. */
  readonly cut: AbortSignal
  readonly now: () => number
  readonly logger: Logger | undefined
}

/** What a node is asked. */
type Order = {
  readonly node: ServedNode
  readonly model: string
  readonly sealed: SealedRequest
  readonly innerRequestHash: Uint8Array
  readonly payment: CheckedPayment
}

/**
 * `POST /infer`: takes a payment and hands the sealed request to a node. The order of its steps is that of
 * docs/wire.md: what is refused before the reservation has cost nothing.
 *
 * @returns the answer under way, or why nothing was reserved
 */
export function infer(request: BinaryRequest, parts: InferParts): Delivery | Refusal {
  const { directory, spends, slots } = parts
  let paid: ReturnType<typeof decodePaidRequest>
  try {
    paid = decodePaidRequest(request.content)
  } catch {
    return refusals.malformed
  }
  const { innerRequest } = paid
  if (!sealedRequestLengths.has(innerRequest.length)) return refusals.notPadded
  const name = field(request.headers, headers.node)
  const model = field(request.headers, headers.model)
  if (name === undefined || model === undefined) return refusals.malformed
  const node = directory.nodes.get(name)
  if (node === undefined) return refusals.nodeUnknown
  if (!node.models.has(model)) return refusals.modelUnknown
  const innerRequestHash = sha256(innerRequest)
  const payment = checkPayment(paid, { innerRequestHash, ...checksOf(directory) })
  if (isRefusal(payment)) return payment

  const known = spends.find(payment)
  if (known !== undefined) return known
  const slot = slots.take(node.identity.text)
  if (slot === undefined) return refusals.busy
  // Entered before anything is awaited, so that of many copies that come at once one alone is worked on.
  const delivery = spends.begin(payment)
  void run({ node, model, sealed: { bytes: innerRequest }, innerRequestHash, payment }, delivery, parts)
    .catch((error) => {
      parts.logger?.error({ error: kindOf(error) }, 'an answer broke off')
      delivery.break()
    })
    .finally(() => {
      slot.release()
      spends.end(payment, delivery)
    })
  return delivery
}

export const checksOf = ({ redeem, changePairs }: DirectoryKeeper) => ({ redeem, changePairs })

async function run(order: Order, delivery: Delivery, parts: InferParts): Promise<void> {
  const { payment } = order
  const { spends, settler, metrics } = parts
  const standing = await spends.reserve(payment)
  if (standing.kind === 'refused') {
    delivery.end(encodeRefusal(standing.refusal))
    delivery.settle({ kind: 'refused', refusal: standing.refusal })
    return
  }
  if (standing.kind === 'settled') {
    // Signed before the answer ends: whoever has the whole of it finds no delivery of it under way any more.
    const change = await settler.repeat(payment, standing.due)
    delivery.end(standing.answer ?? encodeRefusal(refusals.answerGone, [[headers.change, change]]))
    delivery.settle({ kind: 'settled', change })
    return
  }
  if (standing.kind === 'abandoned') {
    metrics.settled.inc({ outcome: 'abandoned' })
    await endWith(refusals.answerLost, null, order, delivery, parts)
    return
  }
  metrics.redeemed.inc(payment.paid)
  const answer = await ask(order, delivery, parts)
  const used = answer.failure === undefined ? verifiedUse(answer.receipt, order) : null
  parts.measurements.record(order.node.name, order.model, {
    firstByte: answer.firstByte,
    failed: used === null,
  })
  metrics.settled.inc({ outcome: used === null ? (answer.failure?.code ?? 'no_receipt') : 'answered' })
  if (answer.failure === refusals.nodeKeyUnknown) parts.onKeyUnknown(order.node)
  const receipt = used === null ? undefined : answer.receipt
  await endWith(answer.failure ?? refusals.nodeFailed, { used, receipt }, order, delivery, parts)
}

/**
 * Settles, and ends the answer with its change. One that has not begun ends as a refusal; one that has begun and was
 * cut ends where it is, and lacks the end that the node's own seal would give it.
 */
async function endWith(
  refusal: Refusal,
  outcome: { readonly used: number | null; readonly receipt: string | undefined } | null,
  { payment }: Order,
  delivery: Delivery,
  { settler, answers, limits }: InferParts,
): Promise<void> {
  const change = await settler.settle(payment, outcome?.used ?? null)
  const trailers: Field[] = [[headers.change, change]]
  if (outcome?.receipt !== undefined) trailers.unshift([headers.receipt, outcome.receipt])
  if (delivery.started) delivery.end(encodeEnd(trailers))
  else delivery.end(encodeRefusal(refusal, trailers))
  delivery.settle({ kind: 'settled', change })
  const { whole } = delivery
  // Without the cache the answer is gone, and nothing else is lost.
  if (whole !== undefined) await answers.put(payment.key, whole, limits.redelivery).catch(() => false)
}

const head = encodeResponseHead({
  informational: [],
  status: 200,
  headers: [['content-type', ohttpMediaTypes.chunkedResponse]],
})

/** A piece of content so large that it fills, with its length in front, one sealed chunk. */
const largestPiece = maxChunkLength - varintLength(maxChunkLength)

async function ask(order: Order, delivery: Delivery, parts: InferParts): Promise<NodeAnswer> {
  const { node, sealed, innerRequestHash, payment } = order
  const { identity, limits, agentFor, cut, now } = parts
  if (cut.aborted) return { failure: refusals.closing, receipt: undefined, firstByte: undefined }
  const asked = askNode({
    url: node.url,
    model: order.model,
    sealed,
    authorization: createAuthorization(
      identity,
      { ceiling: payment.paid, issuedAt: now() },
      { node: node.identity, innerRequestHash },
    ),
    agent: agentFor(node.url),
    limits,
    onContent(bytes) {
      if (!delivery.started) delivery.write(head)
      for (let at = 0; at < bytes.length; at += largestPiece)
        delivery.write(contentOf(bytes.subarray(at, at + largestPiece)))
    },
    onOverdue: () => delivery.cutReaders(),
  })
  delivery.onHold = asked.hold
  cut.addEventListener('abort', asked.abort)
  try {
    return await asked.answer
  } finally {
    delivery.onHold = undefined
    cut.removeEventListener('abort', asked.abort)
  }
}

/** A piece of content behind its length, written at once. @see encodeContent */
function contentOf(bytes: Uint8Array): Uint8Array {
  const piece = new Uint8Array(varintLength(bytes.length) + bytes.length)
  piece.set(bytes, putVarint(piece, 0, bytes.length))
  return piece
}

/**
 * What a receipt charges, if that node signed it for this request and this model.
 *
 * @returns null when it does not verify: then the node gets nothing
 */
function verifiedUse(
  value: string | undefined,
  { node, model, innerRequestHash, payment }: Order,
): number | null {
  if (value === undefined) return null
  try {
    const receipt = decodeReceipt(fromBase64Url(value, 'a receipt'))
    const isRight =
      receipt.ceiling === payment.paid &&
      equalBytes(receipt.modelDigest, modelDigest(model)) &&
      checkReceipt(receipt, { node: node.identity, innerRequestHash })
    return isRight ? receipt.used : null
  } catch (error) {
    if (error instanceof RialtoError) return null
    throw error
  }
}
