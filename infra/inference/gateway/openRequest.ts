import type { IncomingMessage, ServerResponse } from 'node:http'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { BodyBudget } from '../../http/bodyBudget.ts'
import { BodyError } from '../../http/errors.ts'
import { readBody } from '../../http/readBody.ts'
import { respond, respondJson } from '../../http/respond.ts'
import { DecryptionError, UnknownKeyError } from '../protocol/errors.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { sealedRequestLength } from '../protocol/network/sizes.ts'
import { openChunkedRequest } from '../protocol/ohttp/chunked.ts'
import type { OhttpExchange } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { requestBuckets } from '../protocol/padding.ts'
import { SharedReplayError } from './errors.ts'
import type { OhttpKeys } from './keys/ohttpKeys.ts'
import type { GatewayLimits } from './options.ts'
import { refusals } from './problems.ts'

/** A request that opened, and was never seen before. Who has read its plaintext empties it. */
export type OpenedRequest = { plaintext: Uint8Array; readonly exchange: OhttpExchange }

/** A client may cut its request into more chunks than it has to. */
const SLACK = 65_536
const largestBody = sealedRequestLength(requestBuckets.at(-1) ?? 0) + SLACK

/** Why a request did not open, as far as anybody is told. */
export type Closed = 'key' | 'unopened' | 'replay_unknown' | 'busy' | 'gone'

/** What a request is read and opened with. */
export type Opening = {
  readonly keys: OhttpKeys
  /** The memory of what does not stand opened yet. */
  readonly budget: BodyBudget
  /** `body`: milliseconds within which each next byte has to come; `slowest`: bytes a second on the whole. */
  readonly limits: Pick<GatewayLimits, 'body' | 'slowest'>
}

/**
 * Reads and opens a request, and answers it in the clear where it does not open.
 *
 * @returns why not, when it was answered
 */
export async function openRequest(
  request: IncomingMessage,
  response: ServerResponse,
  opening: Opening,
): Promise<OpenedRequest | Closed> {
  try {
    return await open(request, opening)
  } catch (error) {
    const reason = reasonOf(error)
    refuse(response, reason)
    return reason
  } finally {
    opening.budget.release(request)
  }
}

async function open(request: IncomingMessage, { keys, budget, limits }: Opening): Promise<OpenedRequest> {
  const { body: stall, slowest } = limits
  const body = await readBody(request, { most: largestBody, stall, slowest, budget })
  if (request.headers['content-type'] !== ohttpMediaTypes.chunkedRequest) throw new DecryptionError()
  const opener = openChunkedRequest(keys.accepted, { maxMessageBytes: largestBody })
  const parts = await opener.push(body)
  parts.push(await opener.end())
  if (opener.opened === undefined) throw new DecryptionError()
  const { key, exchange } = opener.opened
  await keys.admit(key, exchange.enc)
  const [only] = parts
  return { exchange, plaintext: parts.length === 1 && only !== undefined ? only : Buffer.concat(parts) }
}

/**
 * Everything but these is one reason: what exactly was wrong is nobody's business. What is `busy` was not looked into:
 * that depends on how much arrives here and how fast, which those who see it sent know.
 */
function reasonOf(error: unknown): Closed {
  if (error instanceof UnknownKeyError) return 'key'
  if (error instanceof SharedReplayError) return 'replay_unknown'
  if (error instanceof BodyError && error.fault === 'aborted') return 'gone'
  if (error instanceof BodyError && error.fault === 'crowded') return 'busy'
  if (error instanceof RialtoError) return 'unopened'
  throw error
}

const keyProblem = JSON.stringify({
  type: OHTTP_KEY_PROBLEM,
  title: 'The request is sealed for a key that is not in use.',
})

/** The one place that answers what did not open. */
function refuse(response: ServerResponse, reason: Closed): void {
  if (reason === 'gone') response.destroy()
  else if (reason === 'key')
    respond(response, 400, { 'content-type': 'application/problem+json' }, keyProblem)
  else if (reason === 'replay_unknown' || reason === 'busy') {
    const refusal = reason === 'busy' ? refusals.busy : refusals.storeUnavailable
    respondJson(response, refusal.status, problemOf(refusal))
  } else {
    // Without a date, so that one is byte for byte like the other.
    response.sendDate = false
    respond(response, 400, {})
  }
}
