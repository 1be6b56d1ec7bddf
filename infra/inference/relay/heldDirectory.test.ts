import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { deferred } from '../../http/rawClient.fixture.ts'
import { mediaTypes } from '../protocol/network/routes.ts'
import { codeOf, relayTo, startGateway, unusedUrl } from './relay.fixture.ts'

const give = (response: ServerResponse, body: string | Buffer) =>
  response.writeHead(200, { 'content-type': mediaTypes.directory, 'set-cookie': 'who=me' }).end(body)

/** A gateway with a new directory each time. */
async function startChanging() {
  const asked: (string | undefined)[] = []
  const heads: string[][] = []
  const url = await startGateway((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    heads.push(request.rawHeaders)
    give(response, `directory ${asked.length}`)
  })
  return { url, asked, heads }
}

describe("a gateway's directory", () => {
  it('is the same bytes for all who ask within the time that it is held, for one request', async () => {
    const { url, asked, heads } = await startChanging()
    const relay = await relayTo(url, { directoryHold: 3_600_000 })
    const ask = async (canary: string) => {
      const answer = await fetch(`${relay.url}/gateways/main/directory`, { headers: { cookie: canary } })
      expect(answer.headers.get('content-type')).toBe(mediaTypes.directory)
      expect(answer.headers.get('set-cookie')).toBe(null)
      return answer.text()
    }
    const texts = await Promise.all(Array.from({ length: 20 }, (_, index) => ask(`canary-${index}`)))
    texts.push(await ask('canary-21'))
    expect(new Set(texts)).toEqual(new Set(['directory 1']))
    expect(asked).toEqual(['GET /directory'])
    expect(String(heads)).not.toContain('canary')
  })

  it('is fetched again when it was held for its time', async () => {
    const { url, asked } = await startChanging()
    const relay = await relayTo(url, { directoryHold: 0 })
    const ask = async () => (await fetch(`${relay.url}/gateways/main/directory`)).text()
    expect([await ask(), await ask()]).toEqual(['directory 1', 'directory 2'])
    expect(asked).toHaveLength(2)
  })

  it('is 502 when the gateway is gone, and not the one that was held before', async () => {
    let isThere = true
    const url = await startGateway((request, response) => {
      if (isThere) give(response, 'directory')
      else request.socket.destroy()
    })
    const relay = await relayTo(url, { directoryHold: 0 })
    const ask = () => fetch(`${relay.url}/gateways/main/directory`)
    expect((await ask()).status).toBe(200)
    isThere = false
    const answer = await ask()
    expect([answer.status, await codeOf(answer)]).toEqual([502, 'gateway_unreachable'])
    isThere = true
    expect((await ask()).status).toBe(200)
  })

  it.each<[string, number, string, (request: IncomingMessage, response: ServerResponse) => void]>([
    [
      'of another type',
      502,
      'gateway_unreachable',
      (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('hello'),
    ],
    [
      'with another status',
      502,
      'gateway_unreachable',
      (_, response) => response.writeHead(203, { 'content-type': mediaTypes.directory }).end('hello'),
    ],
    [
      'behind a redirect',
      502,
      'gateway_unreachable',
      (_, response) => response.writeHead(302, { location: '/elsewhere' }).end(),
    ],
    ['that is too long', 502, 'gateway_unreachable', (_, response) => give(response, Buffer.alloc(1_001))],
    [
      'that is broken off',
      502,
      'gateway_unreachable',
      (_, response) =>
        response
          .writeHead(200, { 'content-type': mediaTypes.directory, 'content-length': 10 })
          .write('a', () => response.destroy()),
    ],
    ['that does not come', 504, 'gateway_timeout', () => undefined],
  ])('%s is %d', async (_, status, code, handler) => {
    const relay = await relayTo(await startGateway(handler), { directory: 500, directoryLength: 1_000 })
    const answer = await fetch(`${relay.url}/gateways/main/directory`)
    expect([answer.status, await codeOf(answer)]).toEqual([status, code])
  })

  it('fails for all who wait for it at once, and one after them tries again', async () => {
    const asked = deferred()
    let requests = 0
    const url = await startGateway((request) => {
      requests += 1
      asked.promise.then(() => request.socket.destroy())
    })
    const relay = await relayTo(url)
    const answers = Array.from({ length: 5 }, () => fetch(`${relay.url}/gateways/main/directory`))
    while (requests === 0) await new Promise(setImmediate)
    // All five are with the relay once it has answered a later one.
    await fetch(`${relay.url}/healthz`)
    asked.resolve()
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(502)
    await fetch(`${relay.url}/gateways/main/directory`)
    expect(requests).toBeGreaterThan(1)
  })

  it('is 502 when nobody is there', async () => {
    const relay = await relayTo(await unusedUrl())
    expect((await fetch(`${relay.url}/gateways/main/directory`)).status).toBe(502)
  })
})
