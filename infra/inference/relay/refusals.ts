import type { ServerResponse } from 'node:http'
import { respondJson } from '../../http/respond.ts'
import { problemOf } from '../protocol/network/problem.ts'

/** Everything that a relay answers by itself: status, the words, and what else the head has to say. */
const refusals = {
  not_found: { status: 404, message: 'There is nothing here.' },
  gateway_unknown: { status: 404, message: 'This relay has no gateway of that name.' },
  method_not_allowed: { status: 405, message: 'The method is not the one that is taken here.' },
  media_type: {
    status: 415,
    message: 'Only message/ohttp-req and message/ohttp-chunked-req are passed on.',
  },
  too_large: { status: 413, message: 'The request is larger than is passed on.' },
  body_stalled: { status: 408, message: 'The request stopped arriving, or arrived too slowly.' },
  busy: { status: 429, message: 'The relay is at its limit of requests at once.' },
  gateway_unreachable: { status: 502, message: 'The gateway does not answer.' },
  gateway_timeout: { status: 504, message: 'The gateway took too long.' },
  closing: { status: 503, message: 'The relay is shutting down.' },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly message: string }>>

export type RefusalCode = keyof typeof refusals

/** Answers with a problem (docs/wire.md), if nothing was answered yet. */
export function refuse(
  response: ServerResponse,
  code: RefusalCode,
  { allow, limit }: { readonly allow?: string; readonly limit?: Readonly<Record<string, number>> } = {},
): void {
  const headers = {
    ...(allow === undefined ? {} : { allow }),
    ...(code === 'closing' ? { connection: 'close' } : {}),
  }
  const problem = problemOf({
    ...refusals[code],
    code,
    role: 'relay',
    ...(limit === undefined ? {} : { limit }),
  })
  respondJson(response, refusals[code].status, problem, headers)
}
