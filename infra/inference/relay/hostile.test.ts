import fc from 'fast-check'
import { expect, it } from 'vitest'
import { connectRaw, statusOf } from '../../http/rawClient.fixture.ts'
import { post, relayTo, startGateway } from './relay.fixture.ts'

/** A relay whose gateway tells what reached it. */
async function serve() {
  const reached: string[] = []
  const gateway = await startGateway((request, response) => {
    reached.push(`${request.method} ${request.url} ${request.rawHeaders.join(' ')}`)
    request.on('error', () => undefined)
    request.pipe(response)
  })
  return { relay: await relayTo(gateway), gateway, reached }
}

/** Bytes that are nearly HTTP. */
const nearlyHttp = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'POST /gateways/main HTTP/1.1\r\n',
        'host: x\r\n',
        'content-type: message/ohttp-req\r\n',
        'content-length: 3\r\n',
        'content-length: -1\r\n',
        'content-length: 99999999999999999999\r\n',
        'transfer-encoding: chunked\r\n',
        'transfer-encoding: gzip, chunked\r\n',
        'expect: 100-continue\r\n',
        'expect: other\r\n',
        'connection: close\r\n',
        'connection: upgrade\r\nupgrade: websocket\r\n',
        '\r\n',
        'abc',
        '3\r\nabc\r\n',
        '0\r\n\r\n',
        'ffffffffffffffff\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'CONNECT gateway:80 HTTP/1.1\r\n',
        'GET http://169.254.169.254/ HTTP/1.1\r\n',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    ),
    { minLength: 1, maxLength: 14 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'))

it('whatever path is asked for, nothing but a configured gateway is reached', async () => {
  const { relay, reached } = await serve()
  const part = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '%2e%2e',
      '%2f',
      '%00',
      'gateways',
      'main',
      'directory',
      'ohttp',
      '\\',
      ';',
      '?',
      '#',
      '@',
    ),
    fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      maxLength: 12,
    }),
  )
  const path = fc
    .array(part, { maxLength: 6 })
    .map((parts) => `/${parts.join('/')}`)
    .filter((text) => text !== '/gateways/main')
  await fc.assert(
    fc.asyncProperty(fc.oneof(path, part), async (target) => {
      const client = await connectRaw(relay.url)
      client.send(`POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)
      const { text } = await client.ended()
      expect([400, 404, 405]).toContain(statusOf(text))
    }),
    { numRuns: 300 },
  )
  expect(reached).toEqual([])
})

it('whatever bytes come, it answers or hangs up, and serves on', async () => {
  const { relay, reached, gateway } = await serve()
  const { host } = new URL(gateway)
  await fc.assert(
    fc.asyncProperty(nearlyHttp, async (bytes) => {
      const client = await connectRaw(relay.url)
      client.socket.end(bytes)
      const { text } = await client.ended()
      expect([0, 100, 200, 400, 404, 405, 408, 413, 415, 417, 431]).toContain(statusOf(text))
    }),
    { numRuns: 300 },
  )
  const clean = new RegExp(
    `^POST /ohttp host ${host} content-type message/ohttp-req (content-length 3 )?Connection keep-alive( Transfer-Encoding chunked)?$`,
  )
  for (const request of reached) expect(request).toMatch(clean)
  expect(await (await post(relay, 'still here')).text()).toBe('still here')
})
