import type { ServerResponse } from 'node:http'
import { respondJson } from '../../http/respond.ts'
import { problemOf } from '../protocol/network/problem.ts'

/** Everything that a mint refuses with. */
const refusals = {
  not_found: { status: 404, message: 'There is nothing here.' },
  method_not_allowed: { status: 405, message: 'The method is not the one that is taken here.' },
  media_type: { status: 415, message: 'Token requests are application/private-token-request.' },
  account_unknown: {
    status: 401,
    message: 'The account is not known here, or the authorization is none: Bearer and 32 bytes in base64url.',
  },
  account_empty: { status: 402, message: 'The account has fewer tokens left than are asked for.' },
  faucet_exhausted: { status: 429, message: 'So many new accounts were served this hour that none is now.' },
  token_request_refused: {
    status: 422,
    message: 'This cannot be signed: it is no TokenRequest, or not for a key that signs now.',
  },
  never_signed: { status: 404, message: 'That was never paid for by this account, or its key has ended.' },
  too_large: { status: 413, message: 'The request is larger than is taken here.' },
  body_stalled: { status: 408, message: 'The request stopped arriving, or arrived too slowly.' },
  body_aborted: { status: 400, message: 'The request ended before its end.' },
  busy: { status: 429, message: 'The mint is at its limit of requests at once.' },
  state_unavailable: { status: 503, message: 'The mint cannot record what it does, so it does nothing.' },
  signing_failed: {
    status: 500,
    message: 'A signature came out wrong and is withheld. Ask again: it is paid.',
  },
  closing: { status: 503, message: 'The mint is shutting down.' },
  gateway_unknown: { status: 404, message: 'This mint is no witness of that gateway.' },
  epoch_unknown: { status: 404, message: 'This mint has not seen a directory of that epoch.' },
  equivocation: {
    status: 409,
    message: 'The gateway has shown different directories for this epoch. None of them is to be trusted.',
  },
  directory_invalid: {
    status: 502,
    message: 'What the gateway shows is no directory that it signed and that is valid now.',
  },
  gateway_unreachable: { status: 502, message: 'The gateway does not answer.' },
  gateway_timeout: { status: 504, message: 'The gateway took too long.' },
  failed: { status: 500, message: 'The mint failed.' },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly message: string }>>

export type RefusalCode = keyof typeof refusals

/** A refusal with what else there is to say. */
export type MintRefusal = {
  readonly code: RefusalCode
  readonly limit?: Readonly<Record<string, number>>
  readonly allow?: string
}

/** Answers with a problem (docs/wire.md). */
export function refuse(response: ServerResponse, { code, limit, allow }: MintRefusal): void {
  const headers = {
    ...(allow === undefined ? {} : { allow }),
    ...(code === 'account_unknown' ? { 'www-authenticate': 'Bearer' } : {}),
    ...(code === 'closing' ? { connection: 'close' } : {}),
  }
  const problem = problemOf({
    ...refusals[code],
    code,
    role: 'mint',
    ...(limit === undefined ? {} : { limit }),
  })
  respondJson(response, refusals[code].status, problem, headers)
}
