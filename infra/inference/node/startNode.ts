import { Gauge } from 'prom-client'
import { createBodyBudget } from '../../http/bodyBudget.ts'
import { listen } from '../../http/listen.ts'
import { createServerMetrics, type Health, serveOperations } from '../../http/operations.ts'
import { respond, respondJson } from '../../http/respond.ts'
import type { Identity } from '../protocol/network/identity.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { openKeyRing } from './keyRing.ts'
import { type NodeOptions, readOptions } from './options.ts'
import { type NodeContext, serveRequest } from './serveRequest.ts'
import { connectUpstream } from './upstream.ts'
import { warmUp } from './warmUp.ts'

/** A node that serves. */
export type RunningNode = {
  /** Such as `http://127.0.0.1:41231`. */
  readonly url: string
  readonly identity: Identity
  /** Takes no more requests, gives those under way `grace` milliseconds to end (none when absent), then cuts them. */
  close(grace?: number): Promise<void>
}

/**
 * Starts a node: an adapter that opens sealed requests, hands them to an OpenAI-compatible server, and seals what that
 * answers. It keeps nothing: no file, no key beyond its process, and no prompt or completion in a log, an error or a
 * metric.
 *
 * @throws NodeOptionsError
 * @throws NodeAttestationError when its first key cannot be attested
 * @throws ListenError when the address is taken
 * @example
 * const node = await startNode({
 *   name: 'node-1', operator: 'alice', identity: await openIdentity('.rialto/inference/node/identity'),
 *   gateways: [readIdentity('GGnY...')], upstream: { url: 'http://127.0.0.1:11434/v1' },
 *   models: [{ id: 'llama3.1:8b', privacy: 'private', context: 131_072, price: { prompt: 20, completion: 60 }, serves: ['chat'] }],
 * })
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const settings = readOptions(options)
  const metrics = createServerMetrics('node', { withProcess: options.withProcessMetrics ?? false })
  const up = new Gauge({
    name: 'rialto_node_upstream_up',
    help: "Whether the model's server answered when it was last looked at.",
    registers: [metrics.registry],
  })
  await warmUp()
  const ring = await openKeyRing(settings)
  const upstream = connectUpstream(settings, (isUp) => up.set(isUp ? 1 : 0))
  let closing = false
  const context: NodeContext = {
    settings,
    ring,
    upstream,
    metrics,
    load: { bodies: 0, requests: 0 },
    budget: createBodyBudget(settings.limits.bodyBytes),
    closing: () => closing,
  }
  const health = (): Health => {
    if (closing) return { ok: false, reason: 'the node is shutting down' }
    if (ring.published === undefined) return { ok: false, reason: 'the node has no key that is valid' }
    return upstream.health
  }

  const listening = await listen(
    (request, response) => {
      if (serveOperations(request, response, { registry: metrics.registry, health })) return
      if (request.method === 'POST' && request.url === routes.node.ohttp)
        return void serveRequest(context, request, response)
      const asked = request.method === 'GET' ? published.get(request.url ?? '') : undefined
      if (asked === undefined) return respondJson(response, 404, problemOf(nowhere))
      // Whoever asks when it is time for a new key gets the new one.
      void ring.refresh().then(() => {
        const now = ring.published
        metrics.requests.inc({ route: asked.route, outcome: now === undefined ? 'failed' : 'answered' })
        if (now === undefined) return respondJson(response, 503, problemOf(keyless))
        respond(response, 200, { 'content-type': asked.type }, asked.of(now))
      })
    },
    {
      what: 'node',
      ...(options.host && { host: options.host }),
      ...(options.port && { port: options.port }),
    },
  ).catch((error: unknown) => {
    ring.close()
    upstream.close()
    throw error
  })
  settings.logger.info({ url: listening.url, identity: settings.identity.identity.text }, 'node listens')

  return {
    url: listening.url,
    identity: settings.identity.identity,
    async close(grace) {
      closing = true
      ring.close()
      await listening.close(grace)
      upstream.close()
    },
  }
}

type Publication = {
  readonly route: string
  readonly type: string
  readonly of: (now: { readonly document: string; readonly configs: Uint8Array }) => string | Uint8Array
}
const published: ReadonlyMap<string, Publication> = new Map([
  [
    routes.node.description,
    { route: 'description', type: mediaTypes.nodeDescription, of: ({ document }) => document },
  ],
  [routes.node.keys, { route: 'keys', type: ohttpMediaTypes.keys, of: ({ configs }) => configs }],
] satisfies [string, Publication][])

const nowhere = { status: 404, code: 'not_found', message: 'There is nothing here.', role: 'node' } as const
const keyless = {
  status: 503,
  code: 'no_key',
  message: 'The node has no key that is valid.',
  role: 'node',
} as const
