import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../../../runtime/core/ports.ts'
import { listen } from '../../http/listen.ts'
import { createServerMetrics, serveOperations } from '../../http/operations.ts'
import { respond } from '../../http/respond.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { forward, type Outcome } from './forward.ts'
import { readGateways } from './gateways.ts'
import { holdDirectory } from './heldDirectory.ts'
import { type RelayLimits, relayLimits } from './limits.ts'
import { type RefusalCode, refuse } from './refusals.ts'
import { createWatchdog } from './watchdog.ts'

export type RelayOptions = {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** Base URLs of gateways by their names, such as `{ main: 'https://gateway.example' }`. */
  readonly gateways: Readonly<Record<string, string>>
  /** Limits that are not the usual ones. */
  readonly limits?: Partial<RelayLimits>
  /** Told of start and stop, and of no request. */
  readonly logger?: Logger
  /** Adds the process's figures to the metrics: for a relay that is alone in it. */
  readonly withProcessMetrics?: boolean
}

export type Relay = {
  /** Such as `http://127.0.0.1:41231`. */
  readonly url: string
  /** Gives what is under way `grace` milliseconds to end (none when absent), then cuts it. */
  close(grace?: number): Promise<void>
}

/**
 * Starts a relay (RFC 9458, section 6.2): it knows who asks, and of what is asked only how long it is and when.
 *
 * Of a request it passes on the body, the content type and the length; of an answer the status, the content type, the
 * length and the body. Nothing names the client: no address, no cookie, no user agent. It keeps nothing and logs no
 * request.
 *
 * @throws {RelayGatewaysError, ListenError}
 * @example
 * const relay = await startRelay({ gateways: { main: 'http://127.0.0.1:4001' } })
 * await fetch(`${relay.url}/gateways/main`, { method: 'POST', body, headers: { 'content-type': 'message/ohttp-chunked-req' } })
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const limits = { ...relayLimits, ...options.limits }
  const { logger } = options
  const gateways = readGateways(options.gateways, limits.connect)
  const metrics = createServerMetrics('relay', { withProcess: options.withProcessMetrics ?? false })
  const shortest = Math.min(limits.uploadStall, limits.firstByte, limits.silence)
  const watchdog = createWatchdog(Math.min(1_000, Math.ceil(shortest / 10)))
  const served = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>()
  let inFlight = 0

  const count = (route: 'gateway' | 'directory' | 'other', outcome: Outcome) =>
    metrics.requests.inc({ route, outcome })

  /** Refuses what does not get so far as to be passed on. */
  const turnAway = (
    response: ServerResponse,
    route: 'gateway' | 'directory' | 'other',
    code: RefusalCode,
    more?: Parameters<typeof refuse>[2],
  ) => {
    count(route, code)
    refuse(response, code, more)
  }

  for (const gateway of gateways) {
    const passed = metrics.requests.labels({ route: 'gateway', outcome: 'ok' })
    const firstByte = metrics.firstByte.labels({ route: 'gateway' })
    served.set(routes.relay.gateway(gateway.name), (request, response) => {
      if (request.method !== 'POST')
        return turnAway(response, 'gateway', 'method_not_allowed', { allow: 'POST' })
      if (listening.closing) return turnAway(response, 'gateway', 'closing')
      if (inFlight >= limits.requests)
        return turnAway(response, 'gateway', 'busy', { limit: { requests: limits.requests } })
      const began = performance.now()
      inFlight += 1
      forward(request, response, {
        gateway,
        limits,
        watchdog,
        onFirstByte: () => firstByte.observe((performance.now() - began) / 1_000),
        onEnd: (outcome) => {
          inFlight -= 1
          if (outcome === 'ok') passed.inc()
          else count('gateway', outcome)
        },
      })
    })

    const directory = holdDirectory(gateway, limits)
    served.set(routes.relay.directory(gateway.name), (request, response) => {
      if (request.method !== 'GET')
        return turnAway(response, 'directory', 'method_not_allowed', { allow: 'GET' })
      if (listening.closing) return turnAway(response, 'directory', 'closing')
      directory().then((body) => {
        if (typeof body === 'string') return turnAway(response, 'directory', body)
        count('directory', 'ok')
        respond(response, 200, { 'content-type': mediaTypes.directory }, body)
      })
    })
  }

  const listening = await listen(
    (request, response) => {
      const serve = served.get(request.url ?? '')
      if (serve !== undefined) return serve(request, response)
      metrics.inFlight.set(inFlight)
      const health = () =>
        listening.closing
          ? ({ ok: false, reason: 'The relay is shutting down.' } as const)
          : ({ ok: true } as const)
      if (serveOperations(request, response, { registry: metrics.registry, health })) return
      const isGateway = request.url?.startsWith(routes.relay.gateway('')) === true
      turnAway(response, 'other', isGateway ? 'gateway_unknown' : 'not_found')
    },
    {
      what: 'relay',
      headTimeout: limits.head,
      ...(options.host === undefined ? {} : { host: options.host }),
      ...(options.port === undefined ? {} : { port: options.port }),
    },
  )
  logger?.info({ url: listening.url, gateways: gateways.map(({ name }) => name) }, 'The relay listens.')

  return {
    url: listening.url,
    async close(grace) {
      await listening.close(grace)
      watchdog.close()
      for (const { agent } of gateways) agent.destroy()
      logger?.info({}, 'The relay has stopped.')
    },
  }
}
