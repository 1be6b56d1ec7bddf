import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Health } from '../../http/operations.ts'
import { UpstreamError } from './errors.ts'
import type { NodeSettings } from './options.ts'

/** The model's server, as the node sees it. */
export type Upstream = {
  /**
   * Asks it, and returns its answer once that begins. Nothing of the client's goes along but the body.
   *
   * @param path behind the base URL, such as `/chat/completions`
   * @param signal ends the question, and the answer while it is under way
   * @throws UpstreamError
   */
  post(path: string, body: Uint8Array, signal: AbortSignal): Promise<IncomingMessage>
  /** Whether it answered when it was last looked at. */
  readonly health: Health
  close(): void
}

/** How long a look at the health may take, in milliseconds. */
const probePatience = 5_000

/** Watches the server in the background and keeps connections to it. */
export function connectUpstream(settings: NodeSettings, onHealth: (up: boolean) => void): Upstream {
  const { upstream, timeouts, logger } = settings
  const secure = upstream.url.protocol === 'https:'
  const send = secure ? httpsRequest : httpRequest
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, noDelay: true, scheduling: 'lifo' })
  const base = upstream.url.pathname.replace(/\/+$/, '')
  // The same for every client: a header that came with a request would be one more mark of who sent it.
  const common = {
    accept: 'text/event-stream, application/json',
    'accept-encoding': 'identity',
    'user-agent': 'rialto-node',
    ...(upstream.key === undefined ? {} : { authorization: `Bearer ${upstream.key}` }),
  }
  const open = (method: string, path: string, headers: Record<string, string | number>): ClientRequest =>
    send({
      agent,
      method,
      protocol: upstream.url.protocol,
      hostname: upstream.url.hostname.replace(/^\[|\]$/g, ''),
      port: upstream.url.port,
      path: `${base}${path}${upstream.url.search}`,
      headers: { ...common, ...headers },
    })

  const ask = (
    method: string,
    path: string,
    body: Uint8Array | undefined,
    patience: number,
    signal: AbortSignal,
  ) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const attempt = (again: boolean) => {
        const request = open(
          method,
          path,
          body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length },
        )
        const timer = setTimeout(() => fail(new UpstreamError('silent')), patience)
        const stop = () => fail(new UpstreamError('cut'))
        let settled = false
        const settle = () => {
          settled = true
          clearTimeout(timer)
          signal.removeEventListener('abort', stop)
        }
        const fail = (error: UpstreamError) => {
          settle()
          reject(error)
          request.destroy()
        }
        request.on('error', (error: NodeJS.ErrnoException) => {
          if (settled) return
          settle()
          // A kept connection that its server closed just now: nothing was lost but the connection.
          if (again && request.reusedSocket && error.code === 'ECONNRESET') attempt(false)
          else reject(new UpstreamError('unreachable'))
        })
        request.once('response', (response) => {
          settle()
          // Whoever reads the answer is told by its end; without a listener an error would end the process.
          response.on('error', () => undefined)
          const end = () => response.destroy()
          signal.addEventListener('abort', end, { once: true })
          response.once('close', () => signal.removeEventListener('abort', end))
          resolve(response)
        })
        if (signal.aborted) return stop()
        signal.addEventListener('abort', stop, { once: true })
        request.end(body)
      }
      attempt(true)
    })

  let health: Health = { ok: false, reason: "the model's server was not looked at yet" }
  const closing = new AbortController()
  const look = async (): Promise<Health> => {
    try {
      const response = await ask('GET', '/models', undefined, probePatience, closing.signal)
      response.resume()
      const { statusCode = 0 } = response
      if (statusCode === 401 || statusCode === 403)
        return { ok: false, reason: "the model's server does not accept the key" }
      return statusCode < 500
        ? { ok: true }
        : { ok: false, reason: `the model's server answers with ${statusCode}` }
    } catch {
      return { ok: false, reason: "the model's server does not answer" }
    }
  }
  let looking = false
  const watch = async () => {
    if (looking) return
    looking = true
    const was = health
    const seen = await look()
    looking = false
    if (closing.signal.aborted) return
    health = seen
    onHealth(seen.ok)
    if (seen.ok && !was.ok) logger.info({}, "the model's server answers")
    if (!seen.ok && (was.ok || seen.reason !== was.reason))
      logger.warn({ reason: seen.reason }, 'upstream is down')
  }
  void watch()
  const timer = setInterval(() => void watch(), timeouts.probe)
  timer.unref()

  return {
    post: (path, body, signal) => ask('POST', path, body, timeouts.firstByte, signal),
    get health() {
      return health
    },
    close() {
      clearInterval(timer)
      closing.abort()
      agent.destroy()
    },
  }
}
