import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { type Listening, listen } from './listen.ts'
import { connectRaw, deferred } from './rawClient.fixture.ts'
import { respond } from './respond.ts'
import { cutStalled } from './stall.ts'

let server: Listening | undefined
afterEach(() => server?.close())

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
const PIECE = Buffer.alloc(65_536, 1)
/** More than all buffers between two sockets hold. */
const PIECES = 1_024

async function stream(response: ServerResponse, written: () => void): Promise<void> {
  const closed = once(response, 'close')
  for (let sent = 0; sent < PIECES && !response.destroyed; sent++)
    if (!response.write(PIECE)) {
      written()
      await Promise.race([new Promise((resolve) => response.once('drain', resolve)), closed])
    }
  response.end()
  written()
}

/** A server whose answers are cut off after so long. */
async function serve(milliseconds: number) {
  const outcomes: string[] = []
  const over = deferred()
  server = await listen(
    (_, response) => {
      const written = cutStalled(response, milliseconds, () => outcomes.push('cut'))
      response.on('close', () => {
        outcomes.push(response.writableFinished ? 'whole' : 'broken')
        over.resolve()
      })
      void stream(response, written)
    },
    { what: 'test' },
  )
  return { url: server.url, outcomes, over: over.promise }
}

it('cuts a reader off that takes nothing, so that it sees that the end is missing', async () => {
  const { url, outcomes, over } = await serve(200)
  const client = await connectRaw(url)
  client.socket.pause()
  client.send(GET)
  await over
  expect(outcomes).toEqual(['cut', 'broken'])
  client.socket.resume()
  const { text } = await client.ended()
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(text.endsWith('\r\n0\r\n\r\n')).toBe(false)
})

it('lets a slow reader be, and takes no more from its source than it takes', async () => {
  const { url, outcomes, over } = await serve(1_500)
  const { hostname, port } = new URL(url)
  const client = connect(Number(port), hostname)
  // Two MiB, then a pause; all in all longer than a reader may do nothing.
  let sincePause = 0
  let pauses = 0
  client.on('data', (data: Buffer) => {
    sincePause += data.length
    if (sincePause < 2 << 20) return
    sincePause = 0
    pauses += 1
    client.pause()
    setTimeout(() => client.resume(), 75)
  })
  client.write(GET)
  await over
  client.destroy()
  expect(outcomes).toEqual(['whole'])
  expect(pauses).toBeGreaterThan(20)
})

it('cuts the last bytes off too, which no further write waits for', async () => {
  const { promise, resolve } = deferred<string>()
  server = await listen(
    (_, response) => {
      const written = cutStalled(response, 200, () => resolve('cut'))
      response.on('finish', () => resolve('whole'))
      response.end(Buffer.alloc(64 << 20))
      written()
    },
    { what: 'test' },
  )
  const client = await connectRaw(server.url)
  client.socket.pause()
  client.send(GET)
  expect(await promise).toBe('cut')
  client.socket.destroy()
})

it('does nothing to an answer that is taken', async () => {
  server = await listen((_, response) => respond(response, 200, {}, Buffer.alloc(8 << 20)), { what: 'test' })
  for (let time = 0; time < 3; time++)
    expect((await (await fetch(server.url)).arrayBuffer()).byteLength).toBe(8 << 20)
})
