import { estimatePrompt, type PromptEstimate } from './estimateCost.ts'
import { refuse } from './refusals.ts'

/** What an application asked its `fetch` for. */
export type FetchRequest = {
  readonly method: string
  /** Such as `/chat/completions`: what follows `/v1`. Null for any other URL. */
  readonly path: string | null
  readonly signal: AbortSignal | undefined
  readonly headers: Headers
  /** @throws what the body's stream throws, and the signal's reason */
  readonly body: () => Promise<Uint8Array>
}

const encoder = new TextEncoder()

/**
 * Reads the arguments of `fetch`. Of the URL only what follows the first `/v1` counts, since clients put a base URL of
 * their own in front.
 *
 * @throws TypeError as `fetch` does for what is no request
 */
export function readFetch(input: string | URL | Request, init?: RequestInit): FetchRequest {
  const plain = input instanceof Request ? undefined : plainBody(init?.body)
  // Most clients send a string to a URL: a Request would take as long to make as sealing it.
  if (!(input instanceof Request) && plain !== undefined)
    return {
      method: (init?.method ?? 'GET').toUpperCase(),
      path: pathOf(new URL(input).pathname),
      signal: init?.signal ?? undefined,
      headers: new Headers(init?.headers),
      body: async () => plain,
    }
  const request = new Request(input, init?.body == null ? init : { duplex: 'half', ...init })
  return {
    method: request.method,
    path: pathOf(new URL(request.url).pathname),
    signal: request.signal,
    headers: request.headers,
    body: async () => new Uint8Array(await request.arrayBuffer()),
  }
}

function plainBody(body: RequestInit['body']): Uint8Array | undefined {
  if (body === null || body === undefined) return new Uint8Array(0)
  if (typeof body === 'string') return encoder.encode(body)
  return body instanceof Uint8Array ? body.slice() : undefined
}

const pathOf = (pathname: string): string | null => /^.*?\/v1(\/.*?)\/?$/.exec(pathname)?.[1] ?? null

/** What of a body the client has to know to carry it. */
export type AskedFor = {
  readonly resource: '/v1/chat/completions' | '/v1/embeddings'
  readonly model: string
  /** The most that may be completed, per choice; undefined where the body says nothing. */
  readonly maxTokens: number | undefined
  readonly choices: number
  readonly body: Uint8Array
  readonly prompt: PromptEstimate
}

/** @throws {PrivateNetworkError} `invalid_json` or `missing_required_parameter` */
export function readAsked(resource: AskedFor['resource'], body: Uint8Array): AskedFor {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    // The cause is left out: it quotes the body.
    throw refuse('invalid_json')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw refuse('invalid_json')
  const fields = parsed as Readonly<Record<string, unknown>>
  const { model } = fields
  if (typeof model !== 'string' || model === '') throw refuse('missing_model')
  return {
    resource,
    model,
    maxTokens: count(fields.max_completion_tokens) ?? count(fields.max_tokens),
    choices: count(fields.n) ?? 1,
    body,
    prompt: estimatePrompt(fields, body.length),
  }
}

const count = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
