import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { ListenError } from './errors.ts'
import { type Listening, listen } from './listen.ts'
import { connectRaw, statusOf } from './rawClient.fixture.ts'
import { respond } from './respond.ts'

let server: Listening | undefined
afterEach(() => server?.close())

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'

describe('listening', () => {
  it('says that a port is taken, and by which server it was wanted', async () => {
    server = await listen((_, response) => respond(response, 200, {}), { what: 'first' })
    const port = Number(new URL(server.url).port)
    const second = listen(() => undefined, { what: 'second', port })
    await expect(second).rejects.toThrow(ListenError)
    await expect(second).rejects.toMatchObject({
      code: 'HTTP_LISTEN',
      message: `The second cannot listen on 127.0.0.1:${port}: it is taken.`,
      details: { host: '127.0.0.1', port },
    })
  })

  it('says when an address is not ours', async () => {
    await expect(listen(() => undefined, { what: 'test', host: '203.0.113.1' })).rejects.toMatchObject({
      code: 'HTTP_LISTEN',
    })
  })

  it('gives a URL that can be reached for every way to say where', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0', '::1', '::']) {
      const listening = await listen((_, response) => respond(response, 200, {}, 'here'), {
        what: 'test',
        host,
      })
      expect(await (await fetch(listening.url)).text()).toBe('here')
      await listening.close()
    }
  })

  it('goes on when a connection cannot be accepted', async () => {
    server = await listen((_, response) => respond(response, 200, {}, 'here'), { what: 'test' })
    server.server.emit('error', Object.assign(new TypeError('accept'), { code: 'EMFILE' }))
    expect(await (await fetch(server.url)).text()).toBe('here')
  })
})

describe('heads', () => {
  it.each([
    ['none', ''],
    ['half a head', 'GET / HTTP/1.1\r\nhost: x\r\n'],
  ])('that do not arrive (%s) end the connection', async (_, sent) => {
    server = await listen((_, response) => respond(response, 200, {}), { what: 'test', headTimeout: 200 })
    const client = await connectRaw(server.url)
    if (sent !== '') client.send(sent)
    const { text } = await client.ended()
    expect(statusOf(text)).toBe(408)
  })

  it('that arrive a byte at a time end it too', async () => {
    server = await listen((_, response) => respond(response, 200, {}), { what: 'test', headTimeout: 300 })
    const client = await connectRaw(server.url)
    client.send('GET / HTTP/1.1\r\nx: ')
    const drip = setInterval(() => client.send('a'), 20)
    expect(statusOf((await client.ended()).text)).toBe(408)
    clearInterval(drip)
  })

  it('that are too long, or no HTTP, are refused', async () => {
    server = await listen((_, response) => respond(response, 200, {}), { what: 'test' })
    for (const [sent, status] of [
      [`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
      [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
      ['\x16\x03\x01\x02\x00\x01', 400],
      ['GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 400],
      ['GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
      ['GET / HTTP/1.1\r\n\r\n', 400],
    ] as const) {
      const client = await connectRaw(server.url)
      client.send(sent)
      expect(statusOf((await client.ended()).text)).toBe(status)
    }
  })
})

describe('closing', () => {
  /** A server that answers when it is told to. */
  async function serve() {
    const responses: ServerResponse[] = []
    server = await listen(
      (_, response) => {
        responses.push(response)
        server?.server.emit('asked')
      },
      { what: 'test' },
    )
    return { listening: server, responses, asked: () => once(server?.server ?? process, 'asked') }
  }

  it('lets a request end that is under way, and then is done, though its connection is kept', async () => {
    const { listening, responses, asked } = await serve()
    const client = await connectRaw(listening.url)
    client.send(GET)
    await asked()
    expect(listening.closing).toBe(false)
    const closed = listening.close(3_600_000)
    expect(listening.closing).toBe(true)
    responses[0]?.end('the answer')
    await closed
    expect((await client.ended()).text).toContain('the answer')
  })

  it('closes idle connections at once', async () => {
    const { listening, responses, asked } = await serve()
    const client = await connectRaw(listening.url)
    client.send(GET)
    await asked()
    responses[0]?.end('the answer')
    await client.until('the answer')
    await listening.close(3_600_000)
    expect((await client.ended()).how).toBe('end')
  })

  it('cuts what is under way after the grace', async () => {
    const { listening, asked } = await serve()
    const client = await connectRaw(listening.url)
    client.send(GET)
    await asked()
    await listening.close(50)
    expect((await client.ended()).text).toBe('')
  })

  it('can be called again to end sooner', async () => {
    const { listening, asked } = await serve()
    const client = await connectRaw(listening.url)
    client.send(GET)
    await asked()
    const patient = listening.close(3_600_000)
    await listening.close()
    await patient
    await expect(fetch(listening.url)).rejects.toThrow()
    await client.ended()
  })
})
