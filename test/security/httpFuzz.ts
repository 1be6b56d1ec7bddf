import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectRaw } from '../../infra/http/rawClient.fixture.ts'
import { ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { rawExchange, readRaw, within } from './rawExchange.ts'
import type { Role } from './roleProcess.ts'
import { GATEWAY, type Roles } from './roles.ts'

/** Bytes that are nearly HTTP. */
const nearlyHttp = (paths: readonly string[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...paths.flatMap((path) => [`POST ${path} HTTP/1.1\r\n`, `GET ${path} HTTP/1.1\r\n`]),
          'host: x\r\n',
          'host: localhost\r\n',
          'content-type: message/ohttp-chunked-req\r\n',
          'content-length: 3\r\n',
          'content-length: -1\r\n',
          'content-length: 99999999999999999999\r\n',
          'transfer-encoding: chunked\r\n',
          'transfer-encoding: gzip, chunked\r\n',
          'expect: 100-continue\r\n',
          'connection: close\r\n',
          'connection: upgrade\r\nupgrade: websocket\r\n',
          '\r\n',
          'abc',
          '3\r\nabc\r\n',
          '0\r\n\r\n',
          'ffffffffffffffff\r\n',
          'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
          'CONNECT x:80 HTTP/1.1\r\n',
          '\x16\x03\x01\x02\x00\x01\x00',
        ),
        fc.string({ unit: 'binary', maxLength: 20 }),
      ),
      { minLength: 1, maxLength: 12 },
    )
    .map((parts) => Buffer.from(parts.join(''), 'latin1'))

/** HTTP that no client speaks, at every role. */
export function httpFuzz(at: () => Roles, seed: number): void {
  const names = ['relay', 'gateway', 'node', 'mint', 'proxy'] as const
  const roleOf = (name: (typeof names)[number]): Role => {
    const { relay, gateway, mint, nodes, proxy } = at()
    const role = { relay, gateway, mint, node: nodes[0], proxy }[name]
    return role ?? expect.unreachable(`there is no ${name}`)
  }
  /** Where each takes a body. */
  const paths = {
    relay: `/gateways/${GATEWAY}`,
    gateway: '/ohttp',
    node: '/ohttp',
    mint: '/token-requests',
    proxy: '/v1/chat/completions',
  } as const
  const run = <Values>(property: fc.IAsyncProperty<Values>, numRuns: number) =>
    fc.assert(property, { seed, numRuns, endOnFailure: true })

  describe.each(names)('a %s that hears no HTTP of ours', (name) => {
    it('answers or hangs up', async () => {
      await run(
        fc.asyncProperty(nearlyHttp([paths[name], '/healthz', '/']), fc.nat(), async (bytes, at) => {
          const raw = await connectRaw(roleOf(name).url)
          const cut = bytes.length === 0 ? 0 : at % bytes.length
          raw.send(bytes.subarray(0, cut))
          raw.send(bytes.subarray(cut))
          // Half closed: whoever speaks no more may still be answered.
          raw.socket.end()
          const { text } = await within(raw.ended(), `${name} on ${JSON.stringify(bytes.toString('latin1'))}`)
          if (text !== '') expect(readRaw(text).status).toBeGreaterThanOrEqual(100)
        }),
        40,
      )
    })

    it('knows its own paths and methods, and no others', async () => {
      const { url } = roleOf(name)
      const origin = new URL(url).origin
      const part = fc.oneof(
        fc.constantFrom(
          '..',
          '.',
          '%2e%2e',
          '%2f',
          '%00',
          'gateways',
          GATEWAY,
          'ohttp',
          'v1',
          'models',
          ';',
          '@',
        ),
        fc.string({
          unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
          maxLength: 8,
        }),
      )
      const known = [paths[name], '/v1/models', '/v1/embeddings', `/gateways/${GATEWAY}/directory`]
      await run(
        fc.asyncProperty(
          fc.array(part, { maxLength: 5 }).map((parts) => `/${parts.join('/')}`),
          fc.constantFrom('POST', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH'),
          async (path, method) => {
            const raw = await connectRaw(origin)
            raw.send(
              `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
            )
            const { status } = readRaw((await within(raw.ended(), `${method} ${path}`)).text)
            if (!known.some((each) => path.includes(each)))
              expect([path, status]).toEqual([path, status === 400 ? 400 : 404])
          },
        ),
        30,
      )
      for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const { status } = await rawExchange(`${origin}${paths[name]}`, {
          method,
          type: ohttpMediaTypes.chunkedRequest,
        })
        expect([method, status]).toEqual([method, name === 'relay' || name === 'mint' ? 405 : 404])
      }
    })
  })

  it('heads and bodies that stop arriving end their connection, at every role', async () => {
    const stall = async (name: (typeof names)[number], sent: string) => {
      const raw = await connectRaw(roleOf(name).url)
      raw.send(sent)
      return readRaw((await within(raw.ended(), `${name}, which waits for more`)).text).status
    }
    const account = `authorization: Bearer ${'A'.repeat(43)}\r\n`
    const head = (name: (typeof names)[number]) =>
      `POST ${paths[name]} HTTP/1.1\r\nhost: localhost\r\n${account}content-type: ${
        name === 'mint' ? 'application/private-token-request' : ohttpMediaTypes.chunkedRequest
      }\r\ncontent-length: 1000\r\nconnection: close\r\n`
    const statuses = await Promise.all([
      ...names.map((name) => stall(name, head(name))),
      ...names.map((name) => stall(name, `${head(name)}\r\nabc`)),
    ])
    // Relay and gateway wait equally long, so either may be the first to give up what goes through both.
    const relayed = expect.toBeOneOf([400, 408])
    expect(statuses).toEqual([408, 408, 408, 408, 408, relayed, 400, 408, 408, 408])
  })

  it('connections that are closed in the middle leave nothing behind', async () => {
    await Promise.all(
      names.map(async (name) => {
        for (const reset of [true, false]) {
          const raw = await connectRaw(roleOf(name).url)
          raw.send(
            `POST ${paths[name]} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${ohttpMediaTypes.chunkedRequest}\r\ncontent-length: 1000\r\n\r\nabc`,
          )
          if (reset) raw.socket.resetAndDestroy()
          else {
            raw.socket.end()
            await within(raw.ended(), `${name}, half closed in a body`)
          }
        }
      }),
    )
  })
}
