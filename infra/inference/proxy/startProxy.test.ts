import { request } from 'node:http'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import type { Listening } from '../../http/listen.ts'
import { deferred } from '../../http/rawClient.fixture.ts'
import { largestInnerBucket } from '../protocol/network/sizes.ts'
import { startProxy } from './startProxy.ts'

let proxy: Listening | undefined
afterEach(() => proxy?.close())

/** A network that says what reached it. */
const recording = (answer: () => Response) => {
  const seen: Request[] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    seen.push(new Request(input, init))
    return answer()
  }
  return { fetch, seen }
}

/** Node's own `fetch` sets neither `Host` nor `Origin`. */
const statusOf = (url: string, headers: Record<string, string>) =>
  new Promise<number | undefined>((resolve, reject) => {
    request(`${url}/v1/models`, { headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })

describe('the proxy', () => {
  it('hands path and body to the network, and its answer back', async () => {
    const { fetch, seen } = recording(() => Response.json({ object: 'list', data: [{ id: 'm' }] }))
    proxy = await startProxy({ fetch })
    const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: 'any' })
    expect((await client.models.list()).data).toEqual([{ id: 'm' }])
    await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hello' }] })
    expect(seen.map(({ url, method }) => `${method} ${new URL(url).pathname}`)).toEqual([
      'GET /v1/models',
      'POST /v1/chat/completions',
    ])
    expect(await seen[1]?.json()).toEqual({ model: 'm', messages: [{ role: 'user', content: 'hello' }] })
  })

  it('streams', async () => {
    const { fetch } = recording(
      () =>
        new Response('data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n', {
          headers: { 'content-type': 'text/event-stream' },
        }),
    )
    proxy = await startProxy({ fetch })
    const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: 'any' })
    const pieces: unknown[] = []
    for await (const { choices } of await client.chat.completions.create({
      model: 'm',
      messages: [],
      stream: true,
    }))
      pieces.push(choices[0]?.delta.content)
    expect(pieces).toEqual(['hi'])
  })

  it('refuses web pages, other hosts and a wrong key', async () => {
    const { fetch, seen } = recording(() => new Response('{}'))
    proxy = await startProxy({ fetch, key: 'k' })
    const authorization = 'Bearer k'
    expect(await statusOf(proxy.url, { authorization, origin: 'https://evil.example' })).toBe(403)
    expect(await statusOf(proxy.url, { authorization, origin: 'null' })).toBe(403)
    expect(await statusOf(proxy.url, { authorization, host: 'evil.example' })).toBe(403)
    expect(await statusOf(proxy.url, { authorization: 'Bearer x' })).toBe(401)
    expect(await statusOf(proxy.url, {})).toBe(401)
    expect(seen).toEqual([])
    expect(await statusOf(proxy.url, { authorization })).toBe(200)
  })

  it('takes no body that the network cannot carry', async () => {
    const { fetch: network, seen } = recording(() => new Response('{}'))
    proxy = await startProxy({ fetch: network })
    const body = new Uint8Array(largestInnerBucket + 1)
    const response = await fetch(`${proxy.url}/v1/chat/completions`, { method: 'POST', body })
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ error: { code: 'too_large', rialto: { role: 'client' } } })
    expect(seen).toEqual([])
  })

  it('tells the network when its client goes away', async () => {
    const left = deferred()
    const asked = deferred()
    proxy = await startProxy({
      fetch: async (_, init) => {
        init?.signal?.addEventListener('abort', () => left.resolve())
        asked.resolve()
        return new Response(new ReadableStream())
      },
    })
    const gone = new AbortController()
    const response = fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      body: '{}',
      signal: gone.signal,
    })
    await asked.promise
    gone.abort()
    await expect(response).rejects.toMatchObject({ name: 'AbortError' })
    await left.promise
  })

  it('shows nothing of what went wrong inside', async () => {
    proxy = await startProxy({
      fetch: async () => {
        throw new TypeError('the prompt was: canary')
      },
    })
    const response = await fetch(`${proxy.url}/v1/chat/completions`, { method: 'POST', body: 'canary' })
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('canary')
    expect((await fetch(`${proxy.url}/elsewhere`)).status).toBe(404)
  })
})
