import type { IncomingMessage, ServerResponse } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { isLoopback } from './isLoopback.ts'
import { respond, respondJson } from './respond.ts'

/** What a server counts. No label ever holds anything of a user: outcomes come from a fixed list. */
export type ServerMetrics = {
  readonly registry: Registry
  /** Requests by `route` and `outcome`, both words of the code and never of a request. */
  readonly requests: Counter<'route' | 'outcome'>
  /** Seconds until the answer began. */
  readonly firstByte: Histogram<'route'>
  /** Requests that are being served. */
  readonly inFlight: Gauge
}

/**
 * Makes a server's metrics, in a registry of its own.
 *
 * @param server such as `relay`: the names begin with `rialto_relay_`
 * @param withProcess adds memory, CPU and event-loop figures of the process: for a server that is alone in it
 */
export function createServerMetrics(server: string, { withProcess = false } = {}): ServerMetrics {
  const registry = new Registry()
  if (withProcess) collectDefaultMetrics({ register: registry })
  return {
    registry,
    requests: new Counter({
      name: `rialto_${server}_requests_total`,
      help: 'Requests by route and outcome.',
      labelNames: ['route', 'outcome'],
      registers: [registry],
    }),
    firstByte: new Histogram({
      name: `rialto_${server}_first_byte_seconds`,
      help: 'Seconds until the answer began.',
      labelNames: ['route'],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20],
      registers: [registry],
    }),
    inFlight: new Gauge({
      name: `rialto_${server}_in_flight`,
      help: 'Requests that are being served.',
      registers: [registry],
    }),
  }
}

/** Whether a server can do its work now, and if not, why in one line. */
export type Health = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** What a proxy in front of a server says of whom it asks for. */
const forwarding = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'] as const

/**
 * Whether a request comes from this machine, and for all that can be seen from nobody behind a proxy on it. A proxy
 * that says nothing of itself and writes another host cannot be told from a local client.
 */
function isOwn({ socket, headers }: IncomingMessage): boolean {
  const from = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  const host = `http://${headers.host ?? ''}`
  return (
    (from === '::1' || from.startsWith('127.')) &&
    URL.canParse(host) &&
    isLoopback(new URL(host)) &&
    forwarding.every((name) => headers[name] === undefined)
  )
}

/**
 * Answers `/healthz` (200, or 503 with the reason) and, to this machine alone, `/metrics` (Prometheus). Who reads the
 * metrics of several roles while a request passes sees where it goes: they are for their operator.
 *
 * @returns whether the request was one of these
 */
export function serveOperations(
  request: IncomingMessage,
  response: ServerResponse,
  { registry, health }: { readonly registry: Registry; readonly health: () => Health },
): boolean {
  if (request.method !== 'GET') return false
  if (request.url === '/healthz') {
    const state = health()
    respondJson(
      response,
      state.ok ? 200 : 503,
      state.ok ? { status: 'ok' } : { status: 'unavailable', reason: state.reason },
    )
    return true
  }
  if (request.url === '/metrics' && isOwn(request)) {
    registry.metrics().then(
      (text) => respond(response, 200, { 'content-type': registry.contentType }, text),
      () => respondJson(response, 500, { status: 'metrics cannot be read' }),
    )
    return true
  }
  return false
}
