import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createTransport, readAll, type Transport, transportOf } from './transport.ts'

const servers: Server[] = []
const transports: Transport[] = []
afterEach(async () => {
  for (const each of transports.splice(0)) each.close()
  for (const each of servers.splice(0)) {
    each.closeAllConnections()
    await new Promise((resolve) => each.close(resolve))
  }
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/path`
}

describe.each([
  ['on node:http', () => createTransport()],
  ['on a fetch', () => transportOf(globalThis.fetch)],
])('a transport %s', (_, make) => {
  const open = (): Transport => {
    const transport = make()
    transports.push(transport)
    return transport
  }
  const patient = { method: 'GET', firstByte: 10_000, idle: 10_000 } as const
  const failure = async (work: Promise<unknown>) =>
    work.then(
      () => 'fine',
      (error: Error) => error.message.replace(/^127\.0\.0\.1:\d+/, 'host'),
    )

  it('carries a body there and back', async () => {
    const url = await serve(async (request, response) => {
      let body = ''
      for await (const piece of request) body += piece
      response.writeHead(201, { 'content-type': 'text/x' }).end(`${request.method} ${body}`)
    })
    const sent = { ...patient, method: 'POST', url, body: Buffer.from('words') } as const
    const answer = await open()(sent)
    expect(answer).toMatchObject({ status: 201, contentType: 'text/x' })
    expect((await readAll(url, answer, 100)).toString()).toBe('POST words')
  })

  it('says that nobody was reached', async () => {
    expect(await failure(open()({ ...patient, url: 'http://127.0.0.1:1/secret' }))).toBe(
      'host was not reached.',
    )
  })

  it('gives up a server that does not begin', async () => {
    const url = await serve(() => undefined)
    expect(await failure(open()({ ...patient, url, firstByte: 20 }))).toBe('host took too long.')
  })

  it('gives up a server that falls silent, and not because its reader is slow', async () => {
    const url = await serve((_request, response) => {
      response.write('begun')
    })
    const { body } = await open()({ ...patient, url, idle: 20 })
    const pieces = body[Symbol.asyncIterator]()
    expect(Buffer.from((await pieces.next()).value as Uint8Array).toString()).toBe('begun')
    // Longer than the server may be silent, while nobody waits for it.
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(await failure(pieces.next())).toBe('host fell silent.')
  })

  it('says that a server broke off', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('begun', () => response.destroy())
    })
    const answer = await open()({ ...patient, url })
    expect(await failure(readAll(url, answer, 1_000))).toBe('host broke off.')
  })

  it('takes no more than was agreed', async () => {
    const url = await serve((_request, response) => response.end('x'.repeat(101)))
    const answer = await open()({ ...patient, url })
    expect(await failure(readAll(url, answer, 100))).toBe('host answered with more than 100 bytes.')
  })

  it('does not follow a redirect', async () => {
    const asked: string[] = []
    const url = await serve((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(307, { location: '/elsewhere' }).end()
    })
    const said = await open()({ ...patient, url })
      .then(({ status }) => status)
      .catch(() => 'refused')
    expect([307, 'refused']).toContain(said)
    expect(asked).toEqual(['/path'])
  })

  it('ends the connection of who leaves early', async () => {
    let gone: () => void = () => undefined
    const closed = new Promise<void>((resolve) => {
      gone = resolve
    })
    const url = await serve((_request, response) => {
      response.on('close', gone)
      response.write('x'.repeat(1_000))
    })
    const { body } = await open()({ ...patient, url })
    for await (const _ of body) break
    await closed
  })

  it('stops by its signal', async () => {
    const url = await serve(() => undefined)
    const abort = new AbortController()
    const asked = open()({ ...patient, url, signal: abort.signal })
    abort.abort()
    expect(await failure(asked)).toBe('host was not reached.')
  })
})
