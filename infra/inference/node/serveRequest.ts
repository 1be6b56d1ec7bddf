import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { BodyBudget } from '../../http/bodyBudget.ts'
import { BodyError } from '../../http/errors.ts'
import type { ServerMetrics } from '../../http/operations.ts'
import { readBody } from '../../http/readBody.ts'
import { respond, respondJson } from '../../http/respond.ts'
import { concatBytes } from '../protocol/binary/bytes.ts'
import { UnknownKeyError } from '../protocol/errors.ts'
import { type Authorization, checkAuthorization } from '../protocol/network/authorization.ts'
import { problemOf, type Refusal } from '../protocol/network/problem.ts'
import { headers } from '../protocol/network/routes.ts'
import { openChunkedRequest, sealChunkedResponse } from '../protocol/ohttp/chunked.ts'
import type { OhttpExchange } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM } from '../protocol/ohttp/mediaTypes.ts'
import { answerSealed, type Outcome } from './answerSealed.ts'
import type { KeyRing } from './keyRing.ts'
import type { NodeSettings } from './options.ts'
import type { Upstream } from './upstream.ts'

/** What every request needs. */
export type NodeContext = {
  readonly settings: NodeSettings
  readonly ring: KeyRing
  readonly upstream: Upstream
  readonly metrics: ServerMetrics
  /** Bodies that are being received, and requests that are being served. */
  readonly load: { bodies: number; requests: number }
  /** The memory of bodies of which it is not known yet who sends them. */
  readonly budget: BodyBudget
  readonly closing: () => boolean
}

/** How a request ended that nobody sealed anything for. */
type ClearOutcome = 'busy' | 'closing' | 'unauthorized' | 'body' | 'key_unknown' | 'undecryptable' | 'failed'

/** `POST /ohttp`. It never throws, and says nothing of a request to anybody but its client. */
export async function serveRequest(
  context: NodeContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { metrics, settings } = context
  let outcome: ClearOutcome | Outcome = 'failed'
  try {
    outcome = await serve(context, request, response)
  } catch (error) {
    // Its message may quote what was sent; what kind of error it is does not.
    settings.logger.error({ error: nameOf(error) }, 'a request failed')
    if (response.headersSent) response.destroy()
    else respond(response, 500, {})
  }
  metrics.requests.inc({ route: 'ohttp', outcome })
}

async function serve(
  context: NodeContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<ClearOutcome | Outcome> {
  const { settings, load } = context
  const { limits, metrics } = { limits: settings.limits, metrics: context.metrics }
  const started = performance.now()
  if (context.closing()) return refuse(response, closing)
  if (load.requests >= limits.requests || load.bodies >= limits.bodies) return refuse(response, busy)

  const sealed = await receive(context, request)
  // From here on it is one of the requests that are served, or of no use, and all is known without a wait.
  context.budget.release(request)
  if (!(sealed instanceof Uint8Array)) {
    if (sealed.fault !== 'aborted') refuse(response, bodyRefusals[sealed.fault])
    return 'body'
  }
  const innerRequestHash = createHash('sha256').update(sealed).digest()
  const authorization = authorize(settings, request, innerRequestHash)
  if (authorization === undefined) return refuse(response, unauthorized)
  if (load.requests >= limits.requests) return refuse(response, busy)

  load.requests++
  metrics.inFlight.inc()
  try {
    const opened = await open(context, sealed)
    if (opened === 'key_unknown') {
      respond(
        response,
        400,
        { 'content-type': 'application/problem+json' },
        JSON.stringify({ type: OHTTP_KEY_PROBLEM, title: 'The key configuration is not in use.' }),
      )
      return opened
    }
    if (opened === 'undecryptable') {
      respond(response, 400, {})
      return opened
    }
    return await answerSealed({
      settings,
      upstream: context.upstream,
      response,
      plaintext: opened.plaintext,
      sealer: await sealChunkedResponse(opened.exchange),
      ceiling: authorization.ceiling,
      innerRequestHash,
      paidFor: one(request.headers[headers.model]),
      onFirstByte: () => metrics.firstByte.observe({ route: 'ohttp' }, (performance.now() - started) / 1000),
    })
  } finally {
    load.requests--
    metrics.inFlight.dec()
  }
}

/** The whole body: what a gateway signed for is its hash. */
async function receive(
  { settings, load, budget }: NodeContext,
  request: IncomingMessage,
): Promise<Uint8Array | BodyError> {
  load.bodies++
  // Silence is one thing, a byte in a while another: the sender is not known yet.
  const late = setTimeout(() => request.destroy(), settings.timeouts.body)
  try {
    return await readBody(request, { most: settings.limits.requestBytes, budget })
  } catch (error) {
    if (error instanceof BodyError) return error
    throw error
  } finally {
    clearTimeout(late)
    load.bodies--
  }
}

function authorize(
  { gateways, identity, now }: NodeSettings,
  request: IncomingMessage,
  innerRequestHash: Uint8Array,
): Authorization | undefined {
  const value = request.headers[headers.authorization]
  if (typeof value !== 'string') return undefined
  try {
    return checkAuthorization(value, { gateways, node: identity.identity, innerRequestHash, now: now() })
  } catch (error) {
    if (error instanceof RialtoError) return undefined
    throw error
  }
}

/** The value of a header that is sent once. */
const one = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

type Opened = { readonly plaintext: Uint8Array; readonly exchange: OhttpExchange }

/** Opens a request and admits it. Whatever is wrong with it but its key is the same to whoever sent it. */
async function open(
  { ring, settings }: NodeContext,
  sealed: Uint8Array,
): Promise<Opened | 'key_unknown' | 'undecryptable'> {
  const opener = openChunkedRequest(ring.keys, { maxMessageBytes: settings.limits.requestBytes })
  try {
    const pieces = await opener.push(sealed)
    pieces.push(await opener.end())
    const { opened } = opener
    if (opened === undefined) return 'undecryptable'
    ring.admit(opened.key, opened.exchange.enc)
    return { plaintext: concatBytes(...pieces), exchange: opened.exchange }
  } catch (error) {
    return error instanceof UnknownKeyError ? 'key_unknown' : 'undecryptable'
  }
}

const inClear = <Name extends ClearOutcome>(
  outcome: Name,
  refusal: Omit<Refusal, 'role'>,
): { readonly outcome: Name; readonly refusal: Refusal } => ({
  outcome,
  refusal: { ...refusal, role: 'node' },
})
const busy = inClear('busy', {
  status: 429,
  code: 'busy',
  message: 'The node serves as many requests as it can.',
})
const closing = inClear('closing', {
  status: 503,
  code: 'closing',
  message: 'The node is shutting down.',
})
const unauthorized = inClear('unauthorized', {
  status: 401,
  code: 'not_authorized',
  message: 'No gateway that this node serves has authorized the request.',
})
const bodyRefusals = {
  'too-large': inClear('body', {
    status: 413,
    code: 'too_large',
    message: 'The request is larger than the largest bucket.',
  }),
  stalled: inClear('body', { status: 408, code: 'malformed', message: 'The body stopped arriving.' }),
  crowded: busy,
} as const

function refuse<Name extends ClearOutcome>(
  response: ServerResponse,
  { outcome, refusal }: { readonly outcome: Name; readonly refusal: Refusal },
): Name {
  respondJson(response, refusal.status, problemOf(refusal))
  return outcome
}

/** What an error is, without what it says. */
const nameOf = (error: unknown): string =>
  error instanceof RialtoError ? error.code : error instanceof Error ? error.constructor.name : typeof error
