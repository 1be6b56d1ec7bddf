import { once } from 'node:events'
import { expect, it } from 'vitest'
import { PrivateNetworkError } from '../../infra/inference/client/errors.ts'
import { codeOf, type Scene } from './canaryScene.ts'
import { MODEL, sayFine } from './roles.ts'
import { beginStream, event, lastEvents } from './upstream.ts'

/** Requests that come to grief at the upstream, or because somebody goes away. */
export function brokenPaths(at: () => Scene): void {
  it('while the upstream is down', async () => {
    const { planted, roles, ask } = at()
    await roles.upstream.pause()
    const response = await ask(planted.chat('upstream down'))
    expect([response.status, await codeOf(response)]).toEqual([502, 'upstream_failed'])
    await roles.upstream.resume()
  })

  it.each([
    [
      'an error that quotes the prompt',
      500,
      'application/json',
      (text: string) => ({ error: { message: text, type: text, code: text, param: text } }),
      500,
    ],
    ['a page that quotes it', 500, 'text/html', (text: string) => `<html>${text}</html>`, 500],
    ['a refusal of the key', 401, 'application/json', (text: string) => ({ error: { message: text } }), 502],
    ['another place', 302, 'text/html', (text: string) => text, 502],
    ['no JSON', 200, 'application/json', (text: string) => `{"a":"${text}`, 502],
    ['what is compressed', 200, 'application/json', (text: string) => text, 502],
    [
      'too many at once',
      429,
      'application/json',
      (text: string) => ({ error: { message: text, type: 'x' } }),
      429,
    ],
  ] as const)('with an upstream that answers %s', async (of, status, type, body, expected) => {
    const { planted, roles, ask } = at()
    roles.upstream.answer = ({ body: quoted }, response) => {
      const text = `${planted.text(`${of}: body`)} ${quoted.toString()}`
      const said = body(text)
      response.writeHead(status, {
        'content-type': type,
        location: `http://127.0.0.1:1/${planted.text(`${of}: location`)}`,
        'www-authenticate': planted.text(`${of}: header`),
        ...(of === 'what is compressed' ? { 'content-encoding': planted.text(`${of}: coding`) } : {}),
      })
      response.end(typeof said === 'string' ? said : JSON.stringify(said))
    }
    const response = await ask(planted.chat(`upstream answers ${of}`))
    expect(response.status).toBe(expected)
    await response.text()
  })

  it('with an upstream that speaks no HTTP', async () => {
    const { planted, roles, ask } = at()
    roles.upstream.answer = (_, { socket }) => void socket?.end(`${planted.text('no HTTP')}\r\n\r\n`)
    expect(await codeOf(await ask(planted.chat('no HTTP')))).toBe('upstream_failed')
  })

  it('with a stream that is none', async () => {
    const { planted, roles, ask } = at()
    roles.upstream.answer = (_, response) => {
      beginStream(response)
      response.end(`data: {"error":"${planted.text('broken event')}\n\n: ${planted.text('comment')}\n\n`)
    }
    const response = await ask(planted.chat('broken events', { stream: true }))
    expect(response.status).toBe(200)
    await response.text().catch((error: unknown) => expect(error).toBeInstanceOf(PrivateNetworkError))
  })

  it('with an upstream that is cut midway', async () => {
    const { planted, roles, ask, streamFrom } = at()
    roles.upstream.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100_000 })
      response.write(`{"choices":["${planted.text('cut: completion')}`, () => response.destroy())
    }
    expect(await codeOf(await ask(planted.chat('cut')))).toBe('upstream_failed')
    roles.upstream.answer = (_, response) => {
      streamFrom(response, 'cut stream')
      response.write(event(MODEL, {}), () => response.destroy())
    }
    const response = await ask(planted.chat('cut stream', { stream: true }))
    await expect(response.text()).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
  })

  it('with a client that goes midway', async () => {
    const { planted, roles, ask, toProxy, hold } = at()
    const begun = hold('gone')
    const gone = new AbortController()
    const response = await ask(planted.chat('gone', { stream: true }), { signal: gone.signal })
    const reader = response.body?.getReader()
    await reader?.read()
    gone.abort()
    await expect(reader?.read()).rejects.toMatchObject({ name: 'AbortError' })
    ;(await begun).end(lastEvents(MODEL))

    const other = hold('proxy gone')
    const streamed = await toProxy(
      '/chat/completions',
      JSON.stringify(planted.chat('proxy gone', { stream: true })),
    )
    const proxied = streamed.body?.getReader()
    await proxied?.read()
    await roles.proxy?.kill()
    ;(await other).end(lastEvents(MODEL))
    await expect(proxied?.read().then(() => proxied.read())).rejects.toThrow('terminated')
    roles.upstream.answer = sayFine
    await roles.proxy?.start()
    const after = await toProxy('/chat/completions', JSON.stringify(planted.chat('proxy again')))
    expect(after.status).toBe(200)
    await after.text()
  })

  it.each(['node', 'relay', 'gateway'] as const)('with a %s that is killed in mid-answer', async (name) => {
    const { planted, roles, client, stores, ask, recovered, hold } = at()
    const role = name === 'node' ? roles.nodes[0] : roles[name]
    const begun = hold(`${name} killed`)
    const response = await ask(planted.chat(`${name} killed`, { stream: true }))
    const reader = response.body?.getReader()
    await reader?.read()
    const upstream = await begun
    const left = once(upstream, 'close')
    await role?.kill()
    if (name === 'relay') upstream.end(lastEvents(MODEL))
    await left
    await expect(
      (async () => {
        for (;;) if ((await reader?.read())?.done === true) return
      })(),
    ).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
    // Nobody listens: that is a path, too.
    const refused = await ask(planted.chat(`${name} is down`))
    expect([502, 503]).toContain(refused.status)
    await refused.text()
    roles.upstream.answer = sayFine
    await role?.start()
    await recovered()
    // Behind a shared store what was lost comes back only when no other process can be at work on it any more.
    if (name === 'gateway' && !stores.isAlone) return
    await client.reclaim()
    expect(client.wallet.unsettled()).toEqual([])
  })
}
