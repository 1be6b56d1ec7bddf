import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectRaw, deferred, statusOf } from '../../http/rawClient.fixture.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { answerTo, begin, headers, post, readAll, relayTo, startGateway, unusedUrl } from './relay.fixture.ts'
import { startRelay } from './startRelay.ts'

/** Answers with what was sent. */
const echo = (request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse })
  request.pipe(response)
}

describe('what a relay passes on', () => {
  it('is the body, its type and its length, and nothing of who sent it', async () => {
    const heads: string[][] = []
    const gateway = await startGateway((request, response) => {
      heads.push(request.rawHeaders)
      echo(request, response)
    })
    const relay = await relayTo(gateway)
    const { host } = new URL(gateway)
    const expected = (framing: string[]) => [
      ...['host', host, 'content-type', ohttpMediaTypes.chunkedRequest],
      ...framing,
      ...['Connection', 'keep-alive'],
    ]
    await post(relay, 'sealed', {
      cookie: 'who=me',
      authorization: 'Bearer me',
      'user-agent': 'my-client/1.0',
      'accept-language': 'de-CH',
      'x-forwarded-for': '192.0.2.1',
      forwarded: 'for=192.0.2.1',
      via: '1.1 me',
      origin: 'https://me.example',
      'x-anything': 'else',
    })
    const chunked = begin(relay, { referer: 'https://me.example' })
    chunked.end('sealed')
    await readAll(await answerTo(chunked))
    const spelled = await connectRaw(relay.url)
    spelled.send(
      'POST /gateways/main HTTP/1.1\r\nHost: me\r\nTE: trailers\r\nContent-Type:  Message/OHTTP-Chunked-REQ \r\nTransfer-Encoding: chunked\r\n\r\n6;me=1\r\nsealed\r\n0\r\nx-me: 1\r\n\r\n',
    )
    await spelled.until('0\r\n\r\n')
    spelled.socket.destroy()
    expect(heads).toEqual([
      expected(['content-length', '6']),
      expected(['content-length', '6']),
      [...expected([]), 'Transfer-Encoding', 'chunked'],
    ])
  })

  it('is the status, the type and the body of the answer, and nothing else of it', async () => {
    const relay = await relayTo(
      await startGateway((_, response) => {
        response.writeHead(400, 'Me', {
          'content-type': 'application/problem+json',
          'set-cookie': 'who=me',
          location: 'https://gateway.example/',
          'alt-svc': 'h3=":443"',
          trailer: 'x-me',
          'x-me': '1',
        })
        response.addTrailers({ 'x-me': '1' })
        response.end('{}')
      }),
    )
    const client = await connectRaw(relay.url)
    client.send(
      'POST /gateways/main HTTP/1.1\r\nhost: x\r\ncontent-type: message/ohttp-req\r\ncontent-length: 1\r\n\r\n1',
    )
    const text = await client.until('0\r\n\r\n')
    client.socket.destroy()
    expect(text.replace(/date: [^\r]+/i, 'Date: now').split('\r\n')).toEqual([
      'HTTP/1.1 400 Bad Request',
      'content-type: application/problem+json',
      'Date: now',
      'Connection: keep-alive',
      'Keep-Alive: timeout=65',
      'Transfer-Encoding: chunked',
      '',
      '2',
      '{}',
      '0',
      '',
      '',
    ])
  })

  it('is every byte, whatever their number and pieces', async () => {
    const relay = await relayTo(await startGateway(echo))
    const pieces = fc.array(fc.uint8Array({ maxLength: 70_000, size: 'max' }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.boolean(), async (parts, isChunked) => {
        const body = Buffer.concat(parts)
        const sending = begin(relay, isChunked ? {} : { 'content-length': String(body.length) })
        for (const part of parts) if (part.length > 0) sending.write(part)
        sending.end()
        const answer = await readAll(await answerTo(sending))
        expect(answer.isWhole && answer.body.equals(body)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  it.each([204, 304, 503])('is a status of %d too', async (status) => {
    const relay = await relayTo(
      await startGateway((request, response) => {
        request.resume().on('end', () => response.writeHead(status).end())
      }),
    )
    const answer = await post(relay)
    expect([answer.status, await answer.text()]).toEqual([status, ''])
  })
})

describe('a relay streams', () => {
  it('each piece when it comes, both ways', async () => {
    let arrived = deferred<string>()
    const responses: ServerResponse[] = []
    const relay = await relayTo(
      await startGateway((request, response) => {
        responses.push(response)
        request.on('data', (data: Buffer) => arrived.resolve(data.toString()))
        request.on('end', () => arrived.resolve('the end'))
      }),
    )
    const sending = begin(relay)
    for (const piece of ['one', 'two', 'three']) {
      arrived = deferred<string>()
      sending.write(piece)
      expect(await arrived.promise).toBe(piece)
    }
    arrived = deferred<string>()
    sending.end()
    expect(await arrived.promise).toBe('the end')

    const response = responses[0]
    response?.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse }).flushHeaders()
    // The head is here before the gateway has anything to say.
    const answer = await answerTo(sending)
    expect(answer.statusCode).toBe(200)
    for (const piece of ['four', 'five', 'six']) {
      response?.write(piece)
      const [data] = await once(answer, 'data')
      expect(String(data)).toBe(piece)
    }
    response?.end()
    await once(answer, 'end')
    expect(answer.complete).toBe(true)
  })

  it('an answer that begins before the request has ended, and then reads no more of it', async () => {
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        request.once('data', () => response.writeHead(400).end('no'))
        request.socket.on('close', () => gone.resolve())
      }),
    )
    const sending = begin(relay, { 'content-length': '1000000' })
    sending.write('sealed')
    const answer = await answerTo(sending)
    expect((await readAll(answer)).body.toString()).toBe('no')
    await gone.promise
  })

  it('five hundred answers at once', async () => {
    const responses: ServerResponse[] = []
    const all = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        request.resume()
        response.writeHead(200).flushHeaders()
        if (responses.push(response) === 500) all.resolve()
      }),
    )
    const answers = Array.from({ length: 500 }, async () => {
      const sending = begin(relay)
      sending.end('sealed')
      return readAll(await answerTo(sending))
    })
    await all.promise
    for (let piece = 0; piece < 5; piece++)
      for (const [index, response] of responses.entries()) response.write(`${index} `)
    for (const response of responses) response.end()
    const texts = (await Promise.all(answers)).map(({ body, isWhole }) => `${body} ${isWhole}`)
    const expected = responses.map((_, index) => `${`${index} `.repeat(5)} true`)
    expect(texts.sort()).toEqual(expected.sort())
  })

  it('answers to requests that came at once on one connection, in their order', async () => {
    const relay = await relayTo(await startGateway(echo))
    const client = await connectRaw(relay.url)
    const one = (body: string) =>
      `POST /gateways/main HTTP/1.1\r\nhost: x\r\ncontent-type: message/ohttp-req\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    client.send(`${one('first')}${one('second')}GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n${one('third')}`)
    const text = await client.until('third')
    client.socket.destroy()
    const order = ['first', 'second', '{"status":"ok"}', 'third'].map((body) => text.indexOf(body))
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(order).not.toContain(-1)
  })
})

describe('a relay', () => {
  it.each(['127.0.0.1', '::1'])('reaches a gateway behind a path, at %s', async (host) => {
    const seen: string[] = []
    const gateway = await startGateway((request, response) => {
      seen.push(`${request.headers.host} ${request.url}`)
      echo(request, response)
    }, host)
    expect((await post(await relayTo(`${gateway}/base/`))).status).toBe(200)
    expect(seen).toEqual([`${new URL(gateway).host} /base/ohttp`])
  })

  it('says of itself that it is well, and counts outcomes without a word of anybody', async () => {
    const relay = await relayTo(await startGateway(echo))
    const canary = 'canary-77ab'
    await (await post(relay, canary, { cookie: canary, 'user-agent': canary })).text()
    await fetch(`${relay.url}/${canary}`)
    await fetch(`${relay.url}/gateways/${canary}`, { method: 'POST' })
    expect((await fetch(`${relay.url}/healthz`)).status).toBe(200)
    const metrics = await (await fetch(`${relay.url}/metrics`)).text()
    for (const line of [
      'rialto_relay_requests_total{route="gateway",outcome="ok"} 1',
      'rialto_relay_requests_total{route="other",outcome="not_found"} 1',
      'rialto_relay_requests_total{route="other",outcome="gateway_unknown"} 1',
      'rialto_relay_first_byte_seconds_count{route="gateway"} 1',
      'rialto_relay_in_flight 0',
    ])
      expect(metrics).toContain(line)
    expect(metrics).not.toContain(canary)
    expect(metrics).not.toContain('127.0.0.1')
  })

  it('logs when it starts and stops, and no request', async () => {
    const lines: string[] = []
    const log = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`)
    const logger = { debug: log, info: log, warn: log, error: log }
    const relay = await startRelay({
      gateways: { main: await startGateway(echo), dead: await unusedUrl() },
      logger,
    })
    await (await post(relay)).text()
    await fetch(`${relay.url}/gateways/dead`, { method: 'POST', headers, body: 'sealed' })
    await fetch(`${relay.url}/canary`)
    await relay.close()
    expect(lines).toEqual([
      `The relay listens. ${JSON.stringify({ url: relay.url, gateways: ['main', 'dead'] })}`,
      'The relay has stopped. {}',
    ])
  })

  it('lets what is under way end when it is closed, and takes nothing new', async () => {
    const responses: ServerResponse[] = []
    const asked = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        request.resume()
        responses.push(response)
        asked.resolve()
      }),
    )
    const client = await connectRaw(relay.url)
    client.send('GET /healthz HTTP/1.1\r\nhost: x\r\n')
    const sending = begin(relay)
    sending.end('sealed')
    await asked.promise
    const closed = relay.close(3_600_000)
    client.send('\r\nPOST /gateways/main HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')
    const { text } = await client.ended()
    expect(statusOf(text)).toBe(503)
    expect(text).toContain('"code":"closing"')
    responses[0]?.end('answer')
    expect((await readAll(await answerTo(sending))).body.toString()).toBe('answer')
    await closed
  })

  it('cuts what is under way when its grace is over', async () => {
    const asked = deferred()
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        response.writeHead(200).write('begin')
        request.resume()
        response.on('close', () => gone.resolve())
        asked.resolve()
      }),
    )
    const sending = begin(relay)
    sending.end('sealed')
    const answer = readAll(await answerTo(sending))
    await asked.promise
    await relay.close(10)
    expect((await answer).isWhole).toBe(false)
    await gone.promise
  })
})
