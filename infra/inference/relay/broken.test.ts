import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { connectRaw, deferred, statusOf } from '../../http/rawClient.fixture.ts'
import {
  answerTo,
  begin,
  codeOf,
  headers,
  post,
  readAll,
  relayTo,
  startGateway,
  startTcp,
  unusedUrl,
} from './relay.fixture.ts'

const drain = (request: IncomingMessage) => request.resume().on('error', () => undefined)

/** One line of a relay's metrics, as a number. */
async function countOf(url: string, outcome: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`route="gateway",outcome="${outcome}"} (\\d+)`).exec(text)?.[1] ?? 0)
}

describe('a gateway that', () => {
  it('is not there is 502', async () => {
    const answer = await post(await relayTo(await unusedUrl()))
    expect([answer.status, await codeOf(answer)]).toEqual([502, 'gateway_unreachable'])
  })

  it.each([
    ['hangs up', ''],
    ['answers with a status that is none', 'HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n'],
    ['answers with a status beyond all', 'HTTP/1.1 999 Beyond\r\ncontent-length: 0\r\n\r\n'],
    ['changes the protocol', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
    ['speaks something else', '220 mail.example ESMTP\r\n'],
    ['never comes to an end with its head', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['breaks off within the head', 'HTTP/1.1 200 OK\r\ncontent-'],
  ])('%s is 502', async (_, bytes) => {
    const relay = await relayTo(
      await startTcp((socket) => {
        socket.once('data', () => socket.end(bytes))
      }),
    )
    for (const body of ['sealed', Buffer.alloc(200_000)]) {
      const answer = await post(relay, body)
      expect([answer.status, await codeOf(answer)]).toEqual([502, 'gateway_unreachable'])
    }
  })

  it('does not begin in time is 504, and is told that nobody waits', async () => {
    const gone = deferred()
    const gateway = await startGateway((request) => {
      drain(request)
      request.socket.on('close', () => gone.resolve())
    })
    const answer = await post(await relayTo(gateway, { firstByte: 100 }))
    expect([answer.status, await codeOf(answer)]).toEqual([504, 'gateway_timeout'])
    await gone.promise
  })

  it('takes no more of a request is 504, and the client has sent no more than buffers hold', async () => {
    const relay = await relayTo(await startTcp((socket) => socket.pause()), { firstByte: 500 })
    const sending = begin(relay, { 'content-length': String(8 << 20) })
    const answer = answerTo(sending)
    for (let sent = 0; sent < 8 << 20; sent += 65_536) sending.write(Buffer.alloc(65_536))
    expect((await answer).statusCode).toBe(504)
  })

  it('takes no connection is 504', async () => {
    // TCP connects, TLS does not.
    const mute = await startTcp(() => undefined)
    const relay = await relayTo(mute.replace('http:', 'https:'), { connect: 100 })
    const answer = await post(relay)
    expect([answer.status, await codeOf(answer)]).toEqual([504, 'gateway_timeout'])
  })

  it.each([
    ['of unknown length', {}],
    ['of a known length', { 'content-length': '1000' }],
  ])('breaks off an answer %s breaks it off for the client, too', async (_, length) => {
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request)
        response.writeHead(200, length).write('begin', () => response.destroy())
      }),
    )
    const sending = begin(relay)
    sending.end('sealed')
    expect(await readAll(await answerTo(sending))).toEqual({ body: Buffer.from('begin'), isWhole: false })
    await expect(post(relay).then((answer) => answer.text())).rejects.toThrow()
    expect(await countOf(relay.url, 'answer_cut')).toBe(2)
  })

  it('breaks off an answer never gives a client of HTTP/1.0 a part for the whole', async () => {
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request)
        response.writeHead(200).write('begin')
        response.socket?.once('drain', () => undefined)
        setImmediate(() => response.destroy())
      }),
    )
    const { hostname, port } = new URL(relay.url)
    const client = connect(Number(port), hostname)
    client.write(
      'POST /gateways/main HTTP/1.0\r\ncontent-type: message/ohttp-req\r\ncontent-length: 6\r\n\r\nsealed',
    )
    // Reading at once, since a reset may go before what came before it.
    client.resume()
    const [error] = await once(client, 'error')
    expect(error).toMatchObject({ code: 'ECONNRESET' })
  })

  it('falls silent within an answer is cut', async () => {
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request)
        response.writeHead(200).write('begin')
        response.on('close', () => gone.resolve())
      }),
      { silence: 100 },
    )
    const sending = begin(relay)
    sending.end('sealed')
    const answer = await readAll(await answerTo(sending))
    expect([answer.isWhole, answer.body.toString()]).toEqual([false, 'begin'])
    await gone.promise
  })

  it('closes a kept connection costs no request', async () => {
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request).on('end', () => {
          response.writeHead(200, { 'content-length': '6' }).end('answer')
          response.on('finish', () => request.socket.end())
        })
      }),
    )
    for (let time = 0; time < 20; time++) {
      const answer = await post(relay)
      expect([answer.status, await answer.text()]).toEqual([200, 'answer'])
      // The relay has to have seen the end; a gateway that ends it in the very moment of the next is 502.
      await new Promise(setImmediate)
    }
  })
})

describe('a client that', () => {
  it.each(['goes away', 'half-closes'])('%s within its request is told to the gateway', async (how) => {
    const begun = deferred()
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request) => {
        request.once('data', () => begun.resolve())
        request.on('error', () => undefined).on('close', () => gone.resolve())
      }),
    )
    const client = await connectRaw(relay.url)
    client.send(
      'POST /gateways/main HTTP/1.1\r\nhost: x\r\ncontent-type: message/ohttp-req\r\ncontent-length: 10\r\n\r\nabc',
    )
    await begun.promise
    if (how === 'goes away') client.socket.resetAndDestroy()
    else client.socket.end()
    await gone.promise
    client.socket.destroy()
    expect(await countOf(relay.url, 'client_gone')).toBe(1)
  })

  it('goes away within the answer is told to the gateway', async () => {
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request)
        response.writeHead(200).write('begin')
        response.on('close', () => gone.resolve())
      }),
    )
    const sending = begin(relay)
    sending.end('sealed')
    const answer = await answerTo(sending)
    await once(answer, 'data')
    answer.on('error', () => undefined)
    sending.destroy()
    await gone.promise
  })

  it('goes away before the gateway has begun is told to it as well', async () => {
    const begun = deferred()
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request, response) => {
        drain(request).on('end', () => begun.resolve())
        response.on('close', () => gone.resolve())
      }),
    )
    const sending = begin(relay)
    sending.end('sealed')
    await begun.promise
    sending.destroy()
    await gone.promise
  })

  it('stops sending is 408', async () => {
    const gone = deferred()
    const relay = await relayTo(
      await startGateway((request) => {
        drain(request).on('close', () => gone.resolve())
      }),
      { uploadStall: 100 },
    )
    const sending = begin(relay, { 'content-length': '10' })
    sending.write('abc')
    const answer = await answerTo(sending)
    expect(answer.statusCode).toBe(408)
    expect(String((await readAll(answer)).body)).toContain('body_stalled')
    await gone.promise
  })

  it('sends a byte at a time is 408 too', async () => {
    const relay = await relayTo(await startGateway(drain), { uploadStall: 300 })
    const sending = begin(relay)
    const drip = setInterval(() => sending.write('a'), 20)
    try {
      expect((await answerTo(sending)).statusCode).toBe(408)
    } finally {
      clearInterval(drip)
    }
  })

  it('sends its head a byte at a time is 408', async () => {
    const relay = await relayTo(await startGateway(drain), { head: 300 })
    const client = await connectRaw(relay.url)
    client.send('POST /gateways/main HTTP/1.1\r\nx: ')
    const drip = setInterval(() => client.send('a'), 20)
    expect(statusOf((await client.ended()).text)).toBe(408)
    clearInterval(drip)
  })
})

describe('a reader that', () => {
  const PIECE = Buffer.alloc(65_536, 1)

  /** Writes as long as somebody takes it. @returns how many bytes were taken until now */
  function pour(response: ServerResponse): () => number {
    let taken = 0
    const more = () => {
      while (!response.destroyed && response.write(PIECE)) taken += PIECE.length
      response.once('drain', more)
    }
    more()
    return () => taken
  }

  it('takes nothing is cut, and the gateway with it; others are served meanwhile', async () => {
    const gone = deferred()
    let taken = () => 0
    const gateway = await startGateway((request, response) => {
      drain(request)
      if (request.headers['content-length'] === '6') response.writeHead(200).end('answer')
      else {
        taken = pour(response.writeHead(200))
        response.on('close', () => gone.resolve())
      }
    })
    const relay = await relayTo(gateway, { readerStall: 500 })
    const client = await connectRaw(relay.url)
    client.socket.pause()
    client.send(
      'POST /gateways/main HTTP/1.1\r\nhost: x\r\ncontent-type: message/ohttp-req\r\ncontent-length: 3\r\n\r\nabc',
    )
    let served = 0
    let isOver = false
    void gone.promise.then(() => {
      isOver = true
    })
    while (!isOver) {
      expect(await (await post(relay)).text()).toBe('answer')
      served += 1
    }
    expect(served).toBeGreaterThan(0)
    // What the buffers of two connections hold, and no more.
    expect(taken()).toBeLessThan(64 << 20)
    client.socket.resume()
    const { text } = await client.ended()
    expect(text.endsWith('\r\n0\r\n\r\n')).toBe(false)
    expect(await countOf(relay.url, 'reader_stalled')).toBe(1)
  })

  it('rests gets all of it, though a gateway is held up for longer than it may be silent', async () => {
    const total = 48 << 20
    const gateway = await startGateway((request, response) => {
      drain(request)
      response.writeHead(200, { 'content-length': String(total) }).end(Buffer.alloc(total, 1))
    })
    const relay = await relayTo(gateway, { readerStall: 30_000, silence: 500 })
    const sending = begin(relay)
    sending.end('sealed')
    const answer = await answerTo(sending)
    let length = 0
    let hasRested = false
    answer.on('data', (data: Buffer) => {
      length += data.length
      if (hasRested || length < 2 << 20) return
      hasRested = true
      answer.pause()
      setTimeout(() => answer.resume(), 1_500)
    })
    await once(answer, 'end')
    expect([length, answer.complete, hasRested]).toEqual([total, true, true])
  })
})

it('headers of a refusal name no client', async () => {
  const relay = await relayTo(await unusedUrl())
  const answer = await fetch(`${relay.url}/gateways/main`, {
    method: 'POST',
    body: 'sealed',
    headers: { ...headers, origin: 'https://me.example' },
  })
  expect([...answer.headers.keys()].sort()).toEqual([
    'cache-control',
    'connection',
    'content-length',
    'content-type',
    'date',
    'keep-alive',
  ])
})
