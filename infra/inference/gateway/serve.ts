import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { BodyBudget } from '../../http/bodyBudget.ts'
import { type Health, serveOperations } from '../../http/operations.ts'
import { respond, respondJson } from '../../http/respond.ts'
import { decodeRequest } from '../protocol/bhttp/decode.ts'
import type { BinaryRequest } from '../protocol/bhttp/message.ts'
import { problemOf, type Refusal } from '../protocol/network/problem.ts'
import { gatewayResources, headers, mediaTypes, routes } from '../protocol/network/routes.ts'
import { type ChunkSealer, sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { keyConfigOf } from '../protocol/ohttp/keys.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import type { ChangeSigner } from './change/changeSigner.ts'
import { Delivery, type SpendOutcome } from './deliveries.ts'
import { kindOf } from './errors.ts'
import { type FollowParameters, follow } from './follow.ts'
import { type InferParts, infer } from './infer.ts'
import type { OhttpKeys } from './keys/ohttpKeys.ts'
import type { Route } from './metrics.ts'
import { type OpenedRequest, openRequest } from './openRequest.ts'
import { encodeRefusal, encodeWhole, refusals } from './problems.ts'
import { reclaim } from './reclaim.ts'
import { measurementsOf, reissue, tokenStatus } from './resources.ts'

export type ServeParts = InferParts & {
  readonly keys: OhttpKeys
  /** The memory of what does not stand opened yet. */
  readonly budget: BodyBudget
  readonly nullifiers: NullifierStore
  readonly signer: ChangeSigner
  readonly closing: () => boolean
  readonly health: () => Health
}

/** What a request is answered with: a whole message, one under way, or that nothing can be said. */
type Answer = Uint8Array | Delivery | 'unknown'

const nothing = new Uint8Array(0)

/** Serves all that a gateway serves. */
export function createHandler(parts: ServeParts): RequestListener {
  const { metrics, logger, limits, closing, health } = parts
  const { registry } = metrics
  let atOnce = 0

  return (request, response) => {
    if (request.method === 'POST' && request.url === routes.gateway.ohttp) {
      if (closing()) return refuseOpenly(response, refusals.closing)
      if (atOnce >= limits.requests) return refuseOpenly(response, refusals.busy)
      atOnce += 1
      metrics.inFlight.inc()
      serveSealed(request, response, parts)
        .catch((error) => {
          logger?.error({ error: kindOf(error) }, 'a request failed')
          response.destroy()
        })
        .finally(() => {
          atOnce -= 1
          metrics.inFlight.dec()
        })
      return
    }
    if (serveOperations(request, response, { registry, health })) return
    serveOpen(request, response, parts)
  }
}

/** What everybody may know. */
function serveOpen(request: IncomingMessage, response: ServerResponse, parts: ServeParts): void {
  const { directory, keys, metrics } = parts
  const count = (route: Route, outcome: string) => metrics.requests.inc({ route, outcome })
  const isGet = request.method === 'GET'
  if (isGet && request.url === routes.gateway.directory) {
    const { published } = directory
    count('directory', published === undefined ? 'not_yet' : 'whole')
    if (published === undefined) refuseOpenly(response, refusals.notYet)
    else respond(response, 200, { 'content-type': mediaTypes.directory }, published.document)
  } else if (isGet && request.url === routes.gateway.keys) {
    count('keys', 'whole')
    respond(
      response,
      200,
      { 'content-type': ohttpMediaTypes.keys },
      encodeKeyConfigs([keyConfigOf(keys.current)]),
    )
  } else {
    count('unknown', 'refused')
    refuseOpenly(response, refusals.notFound)
  }
}

async function serveSealed(
  request: IncomingMessage,
  response: ServerResponse,
  parts: ServeParts,
): Promise<void> {
  const { metrics, limits } = parts
  const began = performance.now()
  const opened = await openRequest(request, response, parts)
  if (typeof opened === 'string') {
    metrics.requests.inc({ route: 'unopened', outcome: opened })
    return
  }
  const sealer = await sealChunkedResponse(opened.exchange)
  const { route, answer } = await answerTo(opened, parts)
  const onBegin = () => metrics.firstByte.observe({ route }, (performance.now() - began) / 1000)
  if (answer instanceof Delivery) {
    const outcome = await sendDelivery(answer, { response, sealer, stall: limits.stall, onBegin })
    metrics.requests.inc({ route, outcome })
    return
  }
  onBegin()
  metrics.requests.inc({ route, outcome: await sendWhole(answer, response, sealer) })
}

async function answerTo(
  opened: OpenedRequest,
  parts: ServeParts,
): Promise<{ readonly route: Route; readonly answer: Answer }> {
  let request: BinaryRequest
  try {
    request = decodeRequest(opened.plaintext)
  } catch {
    return { route: 'unknown', answer: encodeRefusal(refusals.malformed) }
  }
  // It may have 8 MiB, and the answer goes on for minutes.
  opened.plaintext = nothing
  const { nullifiers, directory, measurements } = parts
  switch (`${request.method} ${request.path}`) {
    case `POST ${gatewayResources.infer}`: {
      const answer = infer(request, parts)
      return { route: 'infer', answer: answer instanceof Delivery ? answer : encodeRefusal(answer) }
    }
    case `POST ${gatewayResources.reclaim}`:
      return { route: 'reclaim', answer: encodeReclaimed(await reclaim(request, parts)) }
    case `POST ${gatewayResources.tokenStatus}`:
      return { route: 'token_status', answer: await tokenStatus(request, nullifiers) }
    case `POST ${gatewayResources.reissue}`:
      return { route: 'reissue', answer: await reissue(request, parts) }
    case `GET ${gatewayResources.measurements}`:
      return { route: 'measurements', answer: measurementsOf(measurements, directory) }
    default:
      return { route: 'unknown', answer: encodeRefusal(refusals.notFound) }
  }
}

function encodeReclaimed(outcome: SpendOutcome): Uint8Array | 'unknown' {
  if (outcome.kind === 'broken') return 'unknown'
  if (outcome.kind === 'refused') return encodeRefusal(outcome.refusal)
  return encodeWhole({ status: 200, trailers: [[headers.change, outcome.change]] })
}

async function sendWhole(
  answer: Uint8Array | 'unknown',
  response: ServerResponse,
  sealer: ChunkSealer,
): Promise<string> {
  if (answer === 'unknown') {
    // In the clear, as from a relay: a client takes it for a lost connection, and sends the very same again.
    refuseOpenly(response, refusals.storeUnavailable)
    return 'broken'
  }
  const sealed = await sealer.end(answer)
  respond(response, 200, { 'content-type': ohttpMediaTypes.chunkedResponse }, sealed)
  return response.destroyed ? 'gone' : 'whole'
}

async function sendDelivery(delivery: Delivery, parameters: FollowParameters): Promise<string> {
  const followed = await follow(delivery, parameters)
  if (followed === 'broken') return sendWhole('unknown', parameters.response, parameters.sealer)
  if (followed !== 'late') return followed
  // What was too large to keep can be followed from the beginning only; its change comes all the same.
  const outcome = await delivery.outcome
  const { response, sealer, onBegin } = parameters
  onBegin()
  if (outcome.kind !== 'settled') {
    const answer = outcome.kind === 'broken' ? 'unknown' : encodeRefusal(outcome.refusal)
    return sendWhole(answer, response, sealer)
  }
  await sendWhole(encodeRefusal(refusals.answerGone, [[headers.change, outcome.change]]), response, sealer)
  return 'late'
}

function refuseOpenly(response: ServerResponse, refusal: Refusal): void {
  respondJson(response, refusal.status, problemOf(refusal))
}
