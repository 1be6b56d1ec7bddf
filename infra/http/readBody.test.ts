import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { createBodyBudget } from './bodyBudget.ts'
import { BodyError } from './errors.ts'
import { type Listening, listen } from './listen.ts'
import { connectRaw, deferred, statusOf } from './rawClient.fixture.ts'
import { readBody } from './readBody.ts'
import { respond } from './respond.ts'

let server: Listening | undefined
afterEach(() => server?.close())

/** A server that reads a body and tells what came of it. */
async function serve(limits: Parameters<typeof readBody>[1]) {
  const faults: unknown[] = []
  const handler: RequestListener = (request, response) => {
    readBody(request, limits).then(
      (body) => respond(response, 200, {}, body),
      (error) => {
        faults.push(error)
        server?.server.emit('fault')
        respond(response, error instanceof BodyError ? error.status : 500, {}, String(error.fault))
      },
    )
  }
  server = await listen(handler, { what: 'test' })
  return { url: server.url, faults }
}

const head = (rest: string) => `POST / HTTP/1.1\r\nhost: x\r\n${rest}\r\n\r\n`

describe('a body', () => {
  it('is read as it was sent, in whatever pieces', async () => {
    const { url } = await serve({ most: 100_000 })
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 9_000 }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const body = Buffer.concat(parts)
        const chunked = await fetch(url, {
          method: 'POST',
          body: new ReadableStream({
            start(controller) {
              for (const part of parts) controller.enqueue(part)
              controller.close()
            },
          }),
          duplex: 'half',
        } as RequestInit)
        expect(Buffer.from(await chunked.arrayBuffer()).equals(body)).toBe(true)
        const whole = await fetch(url, { method: 'POST', body })
        expect(Buffer.from(await whole.arrayBuffer()).equals(body)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('may be as long as the limit and no longer, whether it says so or not', async () => {
    const { url } = await serve({ most: 10 })
    for (const [length, status] of [
      [10, 200],
      [11, 413],
    ] as const) {
      const client = await connectRaw(url)
      client.send(`${head(`content-length: ${length}`)}${'a'.repeat(length)}`)
      expect(statusOf(await client.until('\r\n\r\n'))).toBe(status)
      client.socket.destroy()
      const chunked = await connectRaw(url)
      const chunks = [...'a'.repeat(length)].map((byte) => `1\r\n${byte}\r\n`).join('')
      chunked.send(`${head('transfer-encoding: chunked')}${chunks}0\r\n\r\n`)
      expect(statusOf(await chunked.until('\r\n\r\n'))).toBe(status)
      chunked.socket.destroy()
    }
  })

  it('that is too long by its own word is refused before a byte of it has come', async () => {
    const { url } = await serve({ most: 10 })
    const client = await connectRaw(url)
    client.send(head('content-length: 1000000'))
    expect(statusOf(await client.until('too-large'))).toBe(413)
    client.socket.destroy()
  })

  it('that stops coming is given up', async () => {
    const { url } = await serve({ most: 10, stall: 100 })
    const client = await connectRaw(url)
    client.send(`${head('content-length: 10')}abc`)
    expect(statusOf(await client.until('stalled'))).toBe(408)
    client.socket.destroy()
  })

  it('that comes a byte at a time, never stopping for long, is given up too', async () => {
    const { url } = await serve({ most: 1_000_000, stall: 300, slowest: 1_000 })
    const client = await connectRaw(url)
    client.send(head('content-length: 1000000'))
    const drip = setInterval(() => client.send('a'), 20)
    try {
      expect(statusOf(await client.until('stalled'))).toBe(408)
    } finally {
      clearInterval(drip)
      client.socket.destroy()
    }
  })

  it.each(['reset', 'half-closed'])('whose connection is %s within it is aborted', async (how) => {
    const { url, faults } = await serve({ most: 10 })
    const client = await connectRaw(url)
    const fault = once(server?.server ?? client.socket, 'fault')
    client.send(`${head('content-length: 10')}abc`)
    if (how === 'reset') client.socket.resetAndDestroy()
    else client.socket.end()
    await fault
    expect(faults).toEqual([expect.objectContaining({ fault: 'aborted', status: 400, retryable: true })])
    client.socket.destroy()
  })

  it('is aborted when the connection had ended before it was asked for', async () => {
    const ended = deferred<unknown>()
    server = await listen(
      (request) => {
        request.on('close', () => readBody(request, { most: 10 }).catch(ended.resolve))
      },
      { what: 'test' },
    )
    const client = await connectRaw(server.url)
    client.send(`${head('content-length: 10')}abc`)
    client.socket.end()
    expect(await ended.promise).toMatchObject({ code: 'HTTP_BODY_ABORTED' })
    client.socket.destroy()
  })
})

describe('bodies that share a budget', () => {
  const most = 8_500_000

  /** A server that reads with a budget, and keeps what is whole until it is told. */
  async function serveWith(bytes: number) {
    const budget = createBodyBudget(bytes)
    const kept: object[] = []
    server = await listen(
      (request, response) => {
        readBody(request, { most, budget }).then(
          (body) => {
            kept.push(request)
            respond(response, 200, {}, String(body.length))
          },
          (error) => {
            budget.release(request)
            respond(response, error instanceof BodyError ? error.status : 500, {}, String(error.fault))
          },
        )
      },
      { what: 'test' },
    )
    return { url: server.url, budget, kept }
  }

  it('are counted from 64 KiB on, until they are released', async () => {
    const { url, budget, kept } = await serveWith(10_000_000)
    for (const length of [0, 5_000, 40_000, 65_536]) {
      expect(await (await fetch(url, { method: 'POST', body: Buffer.alloc(length) })).text()).toBe(
        `${length}`,
      )
      expect(budget.held).toBe(0)
    }
    const length = 65_537
    expect(await (await fetch(url, { method: 'POST', body: Buffer.alloc(length) })).text()).toBe(`${length}`)
    // Its length was told, so no more was taken.
    expect(budget.held).toBe(length)
    for (const each of kept) budget.release(each)
    expect(budget.held).toBe(0)
  })

  it('never hold more than that, whoever sends and does not end, and let one through that is sent to its end', async () => {
    const limit = 20_000_000
    const { url, budget } = await serveWith(limit)
    // 64 senders of 8 MB that never end: 544 MB without a budget.
    const senders = await Promise.all(Array.from({ length: 64 }, () => connectRaw(url)))
    let over = 0
    const allButTwo = deferred()
    const count = () => {
      over += 1
      expect(budget.held).toBeLessThanOrEqual(limit)
      if (over === 62) allButTwo.resolve()
    }
    try {
      for (const sender of senders) {
        sender.send(head('transfer-encoding: chunked'))
        sender.send(`${(8_000_000).toString(16)}\r\n`)
        sender.send(Buffer.alloc(8_000_000))
        sender.until('crowded').then(count, count)
      }
      // Two have room, and which ones is for their speed to say.
      await allButTwo.promise
      const whole = await fetch(url, { method: 'POST', body: Buffer.alloc(1_000_000) })
      expect(await whole.text()).toBe('1000000')
      expect(budget.held).toBeLessThanOrEqual(limit)
    } finally {
      for (const { socket } of senders) socket.destroy()
    }
  })

  it('count nothing for what was cut off, or was too long', async () => {
    const { url, budget } = await serveWith(20_000_000)
    const cut = await connectRaw(url)
    cut.send(`${head('content-length: 8000000')}`)
    cut.send(Buffer.alloc(1_000_000))
    await expect.poll(() => budget.held).toBeGreaterThan(0)
    cut.socket.destroy()
    await expect.poll(() => budget.held).toBe(0)
    const long = await connectRaw(url)
    long.send(`${head('transfer-encoding: chunked')}${(9_000_000).toString(16)}\r\n`)
    long.send(Buffer.alloc(9_000_000))
    expect(statusOf(await long.until('too-large'))).toBe(413)
    expect(budget.held).toBe(0)
    long.socket.destroy()
  })
})

describe('a request that is answered before its end', () => {
  it('is read on, so that its sender gets to see the answer and keeps its connection', async () => {
    const { url } = await serve({ most: 10 })
    const client = await connectRaw(url)
    client.send(`${head('content-length: 3000000')}`)
    await client.until('too-large')
    client.send(Buffer.alloc(3_000_000))
    client.send(`${head('content-length: 2')}ok`)
    expect(statusOf(await client.until(/ok$/))).toBe(200)
    client.socket.destroy()
  })

  it('is read on for a moment only', async () => {
    const { url } = await serve({ most: 10 })
    const client = await connectRaw(url)
    client.send(`${head('content-length: 3000000')}`)
    const { text } = await client.ended()
    expect(statusOf(text)).toBe(413)
  })
})
