import { timingSafeEqual } from 'node:crypto'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { BodyError } from '../../http/errors.ts'
import { isLoopback } from '../../http/isLoopback.ts'
import { type Listening, listen } from '../../http/listen.ts'
import { readBody } from '../../http/readBody.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { largestInnerBucket } from '../protocol/network/sizes.ts'

export type ProxyOptions = {
  /** What carries the requests: the private network's own. */
  readonly fetch: typeof globalThis.fetch
  /** On 127.0.0.1; 0, the default, takes a free one. */
  readonly port?: number
  /** What a client has to show as its API key. Absent: anything, since only this machine can connect. */
  readonly key?: string
}

/**
 * Serves a private network as an OpenAI-compatible API on loopback: `/v1/models`, `/v1/chat/completions` and
 * `/v1/embeddings`. Of a request's head nothing goes further; body and path do, sealed.
 *
 * A web page in a browser on this machine could reach the port and spend its owner's tokens. Browsers say where a
 * request comes from, so every request with an `Origin` is refused, and so is one for another host than this machine.
 *
 * @throws {ListenError} when the port is taken.
 * @example
 * const proxy = await startProxy({ fetch: createPrivateFetch({ relay, gateway, wallet, privacy: 'private' }) })
 * new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: 'none' })
 */
export function startProxy({ fetch, port = 0, key }: ProxyOptions): Promise<Listening> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const refuse = (status: 400 | 401 | 403 | 404 | 408 | 413 | 429, code: string, message: string) =>
    Response.json(problemOf({ status, code, message, role: 'client' }), { status })

  app.get('/healthz', (context) => context.json({ status: 'ok' }))
  app.use('/v1/*', async (context, next) => {
    if (context.req.header('origin') !== undefined)
      return refuse(403, 'origin_refused', 'A web page may not use this machine’s tokens.')
    if (!isOwnHost(context.req.header('host')))
      return refuse(403, 'host_refused', 'This API is served on loopback only.')
    if (key !== undefined && !sameText(context.req.header('authorization') ?? '', `Bearer ${key}`))
      return refuse(401, 'invalid_api_key', 'The API key is missing or wrong.')
    return next()
  })
  app.get('/v1/*', (context) => fetch(context.req.raw))
  app.all('/v1/*', async ({ req, env }) => {
    const { method, url, signal } = req.raw
    try {
      // The network carries no more, and whoever stops in the middle is not waited for.
      const body = await readBody(env.incoming, { most: largestInnerBucket })
      return await fetch(url, { method, signal, body: body as Uint8Array<ArrayBuffer> })
    } catch (error) {
      if (!(error instanceof BodyError)) throw error
      return refuse(error.status, bodyFaults[error.fault], error.message)
    }
  })
  app.notFound(() => refuse(404, 'unknown_url', 'There is nothing here: the API is under /v1.'))
  app.onError(() =>
    // What was thrown may quote the request, so nobody is shown it.
    Response.json(
      problemOf({ status: 500, code: 'proxy_failed', message: 'The request failed.', role: 'client' }),
      { status: 500 },
    ),
  )
  return listen(getRequestListener(app.fetch), { what: 'proxy', port })
}

const bodyFaults = {
  'too-large': 'too_large',
  stalled: 'body_stalled',
  aborted: 'body_aborted',
  crowded: 'busy',
} as const

const isOwnHost = (host: string | undefined): boolean =>
  host !== undefined && URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`))

function sameText(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
