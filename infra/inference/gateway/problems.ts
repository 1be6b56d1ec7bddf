import { encodeResponse } from '../protocol/bhttp/encode.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import { byteStringToBytes } from '../protocol/binary/bytes.ts'
import { problemOf, type Refusal } from '../protocol/network/problem.ts'
import { padRequest } from '../protocol/padding.ts'

const refusal = (
  status: number,
  code: string,
  message: string,
  role: 'gateway' | 'node' = 'gateway',
): Refusal => ({ status, code, message, role })

/** Everything that a gateway refuses with (docs/wire.md, "Problems"). The texts are fixed: none quotes a request. */
export const refusals = {
  malformed: refusal(400, 'malformed', 'The request is not what this gateway takes.'),
  notPadded: refusal(400, 'not_padded', 'The request for the node has no length of this network.'),
  notFound: refusal(404, 'resource_unknown', 'There is no such resource.'),
  nodeUnknown: refusal(404, 'node_unknown', 'No node of that name is in the directory.'),
  modelUnknown: refusal(404, 'model_unknown', 'The node does not serve that model.'),
  neverSigned: refusal(404, 'never_signed', 'That was never signed as change.'),
  tokensRefused: refusal(402, 'tokens_refused', 'The payment is no ceiling class of tokens that verify.'),
  tokenSpent: refusal(409, 'token_spent', 'A token of the payment was spent on something else.'),
  answerGone: refusal(410, 'answer_gone', 'The answer is no longer kept.'),
  changeRefused: refusal(422, 'change_refused', 'The change of the payment could not be signed.'),
  busy: refusal(429, 'busy', 'The gateway is at the limit of what it takes on at once.'),
  nodeBusy: refusal(429, 'busy', 'The node is at the limit of what it takes on at once.', 'node'),
  nodeFailed: refusal(502, 'node_failed', 'The node broke off, or answered what is no answer.'),
  nodeUnavailable: refusal(503, 'node_unavailable', 'The node does not answer.'),
  nodeKeyUnknown: refusal(503, 'node_key_unknown', 'The node has another key by now.'),
  answerLost: refusal(503, 'answer_lost', 'The gateway was interrupted, and the answer is lost.'),
  storeUnavailable: refusal(
    503,
    'store_unavailable',
    'Spent tokens cannot be recorded now. Send the very same request again.',
  ),
  notYet: refusal(503, 'not_ready', 'The gateway waits for the keys of a mint.'),
  closing: refusal(503, 'closing', 'The gateway shuts down.'),
  nodeTimeout: refusal(504, 'node_timeout', 'The node did not answer in time.'),
} as const satisfies Record<string, Refusal>

/**
 * A whole answer as Binary HTTP, padded to a bucket like a request, so that its length tells few answers apart.
 *
 * @param answer.headers in front of nothing else
 */
export const encodeWhole = (answer: {
  readonly status: number
  readonly headers?: readonly Field[]
  readonly content?: Uint8Array
  readonly trailers?: readonly Field[]
}): Uint8Array =>
  padRequest(
    encodeResponse({
      informational: [],
      status: answer.status,
      headers: answer.headers ?? [],
      content: answer.content ?? new Uint8Array(0),
      trailers: answer.trailers ?? [],
    }),
  )

/** A refusal as a whole answer. */
export const encodeRefusal = (refused: Refusal, trailers: readonly Field[] = []): Uint8Array =>
  encodeWhole({
    status: refused.status,
    headers: [['content-type', 'application/json']],
    content: byteStringToBytes(JSON.stringify(problemOf(refused))),
    trailers,
  })
