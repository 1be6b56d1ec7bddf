import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from './listen.ts'
import { createServerMetrics, type Health, serveOperations } from './operations.ts'
import { respondJson } from './respond.ts'

let server: Listening | undefined
afterEach(() => server?.close())

async function serve(health: () => Health = () => ({ ok: true }), withProcess = false) {
  const metrics = createServerMetrics('test', { withProcess })
  server = await listen(
    (request, response) => {
      if (serveOperations(request, response, { registry: metrics.registry, health })) return
      metrics.requests.inc({ route: 'other', outcome: 'not_found' })
      metrics.firstByte.observe({ route: 'other' }, 0.004)
      respondJson(response, 404, { code: 'not_found' })
    },
    { what: 'test' },
  )
  return server.url
}

describe('operations', () => {
  it('tell whether a server can do its work', async () => {
    let state: Health = { ok: true }
    const url = await serve(() => state)
    const healthy = await fetch(`${url}/healthz`)
    expect([healthy.status, await healthy.json()]).toEqual([200, { status: 'ok' }])
    state = { ok: false, reason: 'The disk is full.' }
    const ill = await fetch(`${url}/healthz`)
    expect([ill.status, await ill.json()]).toEqual([
      503,
      { status: 'unavailable', reason: 'The disk is full.' },
    ])
  })

  it('answer to their own paths only, and to GET', async () => {
    const url = await serve()
    for (const path of ['/', '/healthz/', '/healthz?x', '//metrics', '/Metrics'])
      expect((await fetch(`${url}${path}`)).status).toBe(404)
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(404)
  })

  it('count without a word of any request', async () => {
    const url = await serve()
    const canary = 'canary-5f1d'
    await fetch(`${url}/${canary}?${canary}=${canary}`, {
      method: 'POST',
      headers: { 'user-agent': canary, cookie: canary, 'x-forwarded-for': canary },
      body: canary,
    })
    const answer = await fetch(`${url}/metrics`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/)
    const text = await answer.text()
    expect(text).toContain('rialto_test_requests_total{route="other",outcome="not_found"} 1')
    expect(text).toContain('rialto_test_first_byte_seconds_count{route="other"} 1')
    expect(text).not.toContain(canary)
    expect(text).not.toContain('127.0.0.1')
    expect(text).not.toContain('process_')
  })

  it.each([
    ['through a proxy that says for whom', { 'x-forwarded-for': '203.0.113.9' }],
    ['through one that says so as RFC 7239 has it', { forwarded: 'for=203.0.113.9' }],
    ['through one that says only that it is one', { via: '1.1 proxy' }],
    ['for the name that the world knows', { host: 'gateway.example.org' }],
  ])('are shown to nobody who comes %s', async (_, headers) => {
    const { port } = new URL(await serve())
    const ask = (path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        get({ port, path, headers }, (response) => {
          response.resume()
          resolve(response.statusCode)
        }).on('error', reject)
      })
    expect(await ask('/metrics')).toBe(404)
    expect(await ask('/healthz')).toBe(200)
  })

  it.each(['203.0.113.9', '::ffff:203.0.113.9', '2001:db8::1', undefined])(
    'are shown to no other machine: %s',
    async (remoteAddress) => {
      const { registry } = createServerMetrics('test')
      const request = {
        method: 'GET',
        url: '/metrics',
        headers: { host: '127.0.0.1' },
        socket: { remoteAddress },
      }
      expect(
        serveOperations(request as unknown as IncomingMessage, {} as ServerResponse, {
          registry,
          health: () => ({ ok: true }),
        }),
      ).toBe(false)
    },
  )

  it('add the figures of the process where that is asked for', async () => {
    const url = await serve(undefined, true)
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('process_resident_memory_bytes')
  })
})
