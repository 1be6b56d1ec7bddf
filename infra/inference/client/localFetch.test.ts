import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createPrivateFetch } from './createPrivateFetch.ts'
import type { PathReport } from './pathReport.ts'

let server: Server
let url = ''
const seen: { readonly url: string; readonly headers: object; readonly body: string }[] = []
beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    seen.push({ url: request.url ?? '', headers: request.headers, body })
    if (body.includes('redirect')) return response.writeHead(307, { location: 'http://example.org/' }).end()
    response.writeHead(body.includes('fail') ? 500 : 200, { 'content-type': 'application/json' })
    response.end('{"ok":true}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))
beforeEach(() => {
  seen.length = 0
})

const post = (body: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { authorization: 'Bearer key', 'user-agent': 'me', cookie: 'a=b' },
})

describe('local', () => {
  it('asks the model on this machine and tells of it', async () => {
    const paths: PathReport[] = []
    const fetch = createPrivateFetch({ privacy: 'local', local: { url }, onPath: (path) => paths.push(path) })
    const said = await fetch('https://anything/v1/chat/completions', post({ model: 'm' }))
    expect(await said.json()).toEqual({ ok: true })
    expect(said.headers.get('rialto-privacy')).toBe('local')
    expect(seen).toMatchObject([{ url: '/v1/chat/completions', body: '{"model":"m"}' }])
    expect(Object.keys(seen[0]?.headers ?? {}).sort()).toEqual([
      'authorization',
      'connection',
      'content-length',
      'host',
    ])
    expect(paths).toMatchObject([
      { privacy: 'local', relay: null, gateway: null, model: 'm', spent: 0, status: 200 },
    ])
    expect((await fetch('https://anything/v1/models')).status).toBe(200)
  })

  it('passes its errors on', async () => {
    const fetch = createPrivateFetch({ privacy: 'local', local: { url } })
    expect((await fetch('http://x/v1/chat/completions', post({ model: 'fail' }))).status).toBe(500)
  })

  it.each([
    'http://example.org/v1',
    'https://127.0.0.1/v1',
    'http://10.0.0.1/v1',
    'http://0.0.0.0/v1',
    'http://127.0.0.1.example.org/v1',
    'http://user@127.0.0.1/v1',
    'file:///etc/passwd',
    'nonsense',
  ])('never takes %s for this machine', (other) => {
    expect(() => createPrivateFetch({ privacy: 'local', local: { url: other } })).toThrow(
      expect.objectContaining({ code: 'INFERENCE_CLIENT_OPTION' }),
    )
  })

  it('resolves localhost to this machine', async () => {
    const fetch = createPrivateFetch({
      privacy: 'local',
      local: { url: url.replace('127.0.0.1', 'localhost') },
    })
    expect((await fetch('http://x/v1/models')).status).toBe(200)
  })

  it('follows no redirect', async () => {
    const fetch = createPrivateFetch({ privacy: 'local', local: { url } })
    const said = await fetch('http://x/v1/chat/completions', post({ model: 'redirect' }))
    expect(said.status).toBe(502)
    expect(seen).toHaveLength(1)
  })

  it('says in OpenAI’s shape that nobody answers, and what is not served', async () => {
    const fetch = createPrivateFetch({ privacy: 'local', local: { url: 'http://127.0.0.1:1/v1' } })
    const said = await fetch('http://x/v1/chat/completions', post({ model: 'm' }))
    expect(said.status).toBe(502)
    expect(await said.json()).toMatchObject({
      error: { code: 'not_local', rialto: { role: 'client', spent: 0 } },
    })
    expect((await fetch('http://x/v1/files')).status).toBe(404)
  })

  it('aborts', async () => {
    const fetch = createPrivateFetch({ privacy: 'local', local: { url } })
    const reason = new DOMException('enough', 'AbortError')
    await expect(fetch('http://x/v1/models', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})
