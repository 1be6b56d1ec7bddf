import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { deferred } from '../../http/rawClient.fixture.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { answerTo, begin, codeOf, headers, post, relayTo, startGateway } from './relay.fixture.ts'
import { startRelay } from './startRelay.ts'

/** Answers with what was sent. */
const echo = (request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse })
  request.pipe(response)
}

describe('a relay refuses', () => {
  const never = () => startGateway(() => expect.unreachable('It is not passed on.'))

  it.each([
    ['GET', '/gateways/main', 405, 'method_not_allowed', 'POST'],
    ['PUT', '/gateways/main', 405, 'method_not_allowed', 'POST'],
    ['OPTIONS', '/gateways/main', 405, 'method_not_allowed', 'POST'],
    ['POST', '/gateways/main/directory', 405, 'method_not_allowed', 'GET'],
    ['POST', '/gateways/other', 404, 'gateway_unknown', null],
    ['POST', '/gateways/main/', 404, 'gateway_unknown', null],
    ['POST', '/gateways/main?x', 404, 'gateway_unknown', null],
    ['POST', '/gateways/%6dain', 404, 'gateway_unknown', null],
    ['GET', '/gateways/other/directory', 404, 'gateway_unknown', null],
    ['POST', '/', 404, 'not_found', null],
    ['POST', '/ohttp', 404, 'not_found', null],
  ])('%s %s', async (method, path, status, code, allow) => {
    const relay = await relayTo(await never())
    const body = method === 'GET' ? {} : { body: 'sealed' }
    const answer = await fetch(`${relay.url}${path}`, { method, headers, ...body })
    expect([answer.status, await codeOf(answer), answer.headers.get('allow')]).toEqual([status, code, allow])
  })

  it.each([
    'application/json',
    'message/ohttp-res',
    'message/ohttp-chunked-req; charset=utf-8',
    'message/ohttp-req, message/ohttp-req',
    undefined,
  ])('a body that is %s', async (type) => {
    const relay = await relayTo(await never())
    const answer = await fetch(`${relay.url}/gateways/main`, {
      method: 'POST',
      body: Buffer.from('sealed'),
      headers: type === undefined ? {} : { 'content-type': type },
    })
    expect([answer.status, await codeOf(answer)]).toEqual([415, 'media_type'])
  })

  it('what is too long, before it is sent where its length is told', async () => {
    const seen: number[] = []
    const gateway = await startGateway((request) => {
      request.on('data', (data: Buffer) => seen.push(data.length)).on('error', () => undefined)
    })
    const relay = await relayTo(gateway, { requestLength: 1_000 })
    const told = await post(relay, Buffer.alloc(1_001))
    expect([told.status, await told.json()]).toEqual([
      413,
      expect.objectContaining({
        error: expect.objectContaining({
          code: 'too_large',
          rialto: { role: 'relay', limit: { bytes: 1_000 } },
        }),
      }),
    ])
    expect(seen).toEqual([])
    const untold = begin(relay)
    untold.write(Buffer.alloc(600))
    untold.write(Buffer.alloc(600))
    expect((await answerTo(untold)).statusCode).toBe(413)
    const most = relayTo(await startGateway(echo), { requestLength: 1_000 })
    expect((await post(await most, Buffer.alloc(1_000))).status).toBe(200)
  })

  it('more at once than its limit, until one has ended', async () => {
    const responses: ServerResponse[] = []
    const asked = deferred()
    const gateway = await startGateway((request, response) => {
      request.resume()
      if (responses.push(response) === 2) asked.resolve()
    })
    const relay = await relayTo(gateway, { requests: 2 })
    const first = [post(relay), post(relay)]
    await asked.promise
    const refused = await post(relay)
    expect([refused.status, await codeOf(refused)]).toEqual([429, 'busy'])
    for (const response of responses) response.end('answer')
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200])
    const third = post(relay)
    while (responses.length < 3) await new Promise(setImmediate)
    responses[2]?.end('answer')
    expect((await third).status).toBe(200)
  })

  it('gateways that it cannot use', async () => {
    for (const [name, url] of [
      ['main', 'ftp://gateway.example'],
      ['main', 'gateway.example'],
      ['main', ''],
      ['main', 'https://me:secret@gateway.example'],
      ['main', 'https://gateway.example/?x'],
      ['main', 'https://gateway.example/#x'],
      ['', 'https://gateway.example'],
      ['../main', 'https://gateway.example'],
      ['ma/in', 'https://gateway.example'],
    ] as const)
      await expect(startRelay({ gateways: { [name]: url } })).rejects.toMatchObject({
        code: 'RELAY_GATEWAYS',
      })
  })
})
