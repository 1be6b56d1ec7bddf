import { createClient, custom, type EIP1193RequestFn, HttpRequestError, http } from 'viem'
import { RpcUnreachableError } from '../../runtime/core/chainErrors.ts'
import { RpcRefusedError } from './errors.ts'
import { hostOf, redact } from './redact.ts'

/** Answers JSON-RPC requests by another way than HTTP (a socket, a recording). Throws `{ code, message }` as EIP-1193 does. */
export type Requester = { request(args: { method: string; params: unknown }): Promise<unknown> }

export type RpcParameters = {
  readonly url: URL
  readonly requester?: Requester
  /** More headers, which may depend on what is sent. Not for a {@link requester}. */
  readonly headersFor?: (body: string) => Promise<Readonly<Record<string, string>>>
  /** For one request with all its retries and the whole of its answer, in milliseconds. */
  readonly timeout: number
  /** Further tries of a read that got no answer. What is sent is never sent twice by itself. */
  readonly retries: number
}

/** The node answered with a JSON-RPC error: it got the request and did not do it. */
export class RpcAnswer extends RpcRefusedError {
  /** The error's `data` member: revert data, with most nodes. */
  readonly data: unknown
  /** Whether it was asked for more than it serves. */
  readonly limited: boolean
  constructor(method: string, host: string, code: number, said: string, data: unknown) {
    super(method, host, code, said, PASSING_CODES.has(code))
    this.data = data
    this.limited = LIMIT_CODES.has(code) || /rate.?limit|too many requests|compute units/i.test(said)
  }
}

/** No answer came. `sent` is false only if it is certain that nothing left this machine. */
export class RpcSilence extends RpcUnreachableError {
  readonly reason: string
  readonly sent: boolean
  /** Whether it was asked for more than it serves (HTTP status 429). */
  readonly limited: boolean
  /** When it wants to be asked again, in milliseconds from now; null when it did not say (`Retry-After`). */
  readonly retryAfter: number | null
  constructor(
    method: string,
    host: string,
    reason: string,
    sent: boolean,
    limit: { readonly retryAfter: number | null } | null = null,
  ) {
    super(method, host, reason)
    this.reason = reason
    this.sent = sent
    this.limited = limit !== null
    this.retryAfter = limit?.retryAfter ?? null
  }
}

export type Rpc = {
  readonly host: string
  /**
   * @throws {RpcAnswer} when the node answers with an error.
   * @throws {RpcSilence} when it does not answer.
   */
  call(method: string, params: readonly unknown[], options?: { once?: boolean }): Promise<unknown>
}

/** Rate limits, also as providers misspell them. */
const LIMIT_CODES: ReadonlySet<number> = new Set([-32005, -32007, 429])
/** Internal error, and rate limits. */
const PASSING_CODES: ReadonlySet<number> = new Set([-32603, ...LIMIT_CODES])

/** Failures of a connection that was never made: nothing can have been sent. */
const UNSENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/**
 * A JSON-RPC client on viem's transport that sorts failures by what they mean for the request: refused, not sent,
 * or unknown. viem's own errors are not passed on, not even as a cause: they hold the URL and the whole calldata.
 */
export function createRpc(parameters: RpcParameters): Rpc {
  const { url, requester, headersFor, timeout, retries } = parameters
  const host = hostOf(url)
  const client = createClient({
    transport:
      requester === undefined
        ? // viem's own time-out ends with the answer's headers; the signal below covers its body too.
          http(url.href, {
            timeout: 0,
            retryCount: 0,
            ...(headersFor === undefined
              ? {}
              : {
                  onFetchRequest: async (_request, init) => ({
                    ...init,
                    headers: { ...init.headers, ...(await headersFor(String(init.body))) },
                  }),
                }),
          })
        : custom(requester, { retryCount: 0 }),
  })
  const request = client.request as EIP1193RequestFn as (
    args: { method: string; params: unknown },
    options: { retryCount: number; retryDelay: number; signal: AbortSignal },
  ) => Promise<unknown>

  return {
    host,
    async call(method, params, options) {
      const signal = AbortSignal.timeout(timeout)
      try {
        const retryCount = options?.once === true ? 0 : retries
        const answer = request({ method, params }, { retryCount, retryDelay: 50, signal })
        return await untilAborted(answer, signal)
      } catch (error) {
        throw classify(error, method, host, url, signal.aborted ? timeout : null)
      }
    },
  }
}

/** A requester that is no HTTP may not heed the signal: stop waiting for it all the same. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function classify(
  error: unknown,
  method: string,
  host: string,
  url: URL,
  timedOutAfter: number | null,
): RpcAnswer | RpcSilence {
  if (timedOutAfter !== null) return new RpcSilence(method, host, `none within ${timedOutAfter} ms`, true)
  const chain = causes(error)
  for (const link of chain)
    if (link instanceof HttpRequestError && link.status !== undefined)
      return new RpcSilence(
        method,
        host,
        `HTTP status ${link.status}`,
        true,
        link.status === 429 || (link.status === 503 && link.headers?.has('Retry-After') === true)
          ? { retryAfter: parseRetryAfter(link.headers?.get('Retry-After') ?? null, Date.now()) }
          : null,
      )
  for (const link of chain.toReversed()) {
    const { code, message, details, data } = link
    // viem puts the node's own words into `details` and its request into `message`.
    if (typeof code === 'number' && Number.isInteger(code)) {
      const said = typeof details === 'string' ? details : typeof message === 'string' ? message : ''
      return new RpcAnswer(method, host, code, redact(said, url) || 'no message', data)
    }
  }
  for (const { code } of chain)
    if (typeof code === 'string') return new RpcSilence(method, host, code, !UNSENT.has(code))
  const last = chain.at(-1)
  const reason = typeof last?.message === 'string' ? redact(last.message, url) : 'the connection failed'
  return new RpcSilence(method, host, reason, true)
}

/**
 * @param now milliseconds since the epoch
 * @returns milliseconds from now; null when the header says nothing that can be understood (RFC 9110, section 10.2.3)
 * @example parseRetryAfter('7', 0) // 7000
 */
export function parseRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1_000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

type Link = { code?: unknown; message?: unknown; details?: unknown; data?: unknown; cause?: unknown }

/** An error and its causes, outermost first. An AggregateError (one per address tried) stands for its last one. */
function causes(error: unknown): Link[] {
  const chain: Link[] = []
  let next: unknown = error
  while (typeof next === 'object' && next !== null && chain.length < 10) {
    chain.push(next)
    next = (next as Link).cause ?? (next as { errors?: unknown[] }).errors?.at(-1)
  }
  return chain
}
