import type { RequestListener } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { get } from './get.ts'
import { type Listening, listen } from './listen.ts'
import { respond } from './respond.ts'

let server: Listening | undefined
afterEach(() => server?.close())

async function serve(handler: RequestListener) {
  server = await listen(handler, { what: 'test' })
  return server.url
}
const limits = { most: 1_000, within: 5_000 }

describe('get', () => {
  it('gives status, media type and body, and says nothing of who asks', async () => {
    const heads: string[][] = []
    const url = await serve((request, response) => {
      heads.push(request.rawHeaders)
      respond(response, 418, { 'content-type': 'Text/Plain; charset=utf-8' }, 'a body')
    })
    const { status, mediaType, body } = await get(`${url}/path`, limits)
    expect([status, mediaType, body.toString()]).toEqual([418, 'text/plain', 'a body'])
    const names = heads
      .flatMap((head) => head.filter((_, at) => at % 2 === 0))
      .map((name) => name.toLowerCase())
    expect(names.sort()).toEqual(['connection', 'host'])
  })

  it('follows no redirect', async () => {
    const url = await serve((_, response) => respond(response, 302, { location: '/elsewhere' }))
    expect((await get(url, limits)).status).toBe(302)
  })

  it('takes no more than it was told to', async () => {
    const url = await serve((_, response) => respond(response, 200, {}, 'a'.repeat(1_001)))
    await expect(get(url, limits)).rejects.toMatchObject({
      code: 'HTTP_GET_UNREACHABLE',
      cause: { code: 'HTTP_BODY_TOO_LARGE' },
    })
  })

  it.each<[string, RequestListener]>([
    ['never answers', () => undefined],
    ['never ends', (_, response) => void response.writeHead(200).write('a')],
  ])('gives up a server that %s', async (_, handler) => {
    const url = await serve(handler)
    await expect(get(url, { most: 1_000, within: 100 })).rejects.toMatchObject({
      code: 'HTTP_GET_TIMEOUT',
      retryable: true,
    })
  })

  it('takes no part for the whole', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('abc', () => response.destroy())
    })
    await expect(get(url, limits)).rejects.toMatchObject({ code: 'HTTP_GET_UNREACHABLE' })
  })

  it('names the host that it cannot reach, and not the path', async () => {
    const url = await serve(() => undefined)
    await server?.close()
    const error = await get(`${url}/someone`, limits).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'HTTP_GET_UNREACHABLE', fault: 'unreachable' })
    expect(error.toLine()).not.toContain('someone')
  })
})
