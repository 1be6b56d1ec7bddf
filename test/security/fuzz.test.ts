import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeRequest } from '../../infra/inference/protocol/bhttp/encode.ts'
import { concatBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { createAuthorization } from '../../infra/inference/protocol/network/authorization.ts'
import { sealingKey } from '../../infra/inference/protocol/network/nodeDescription.ts'
import { openIdentity } from '../../infra/inference/protocol/network/openIdentity.ts'
import { encodePaidRequest, tokenLength } from '../../infra/inference/protocol/network/payment.ts'
import { gatewayResources, headers } from '../../infra/inference/protocol/network/routes.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../../infra/inference/protocol/padding.ts'
import { clearFuzz } from './clearFuzz.ts'
import { type Client, chat, makeOrder, openClient, sendOrder, sendToGateway } from './client.ts'
import { damaged, disordered, impostorOf, outerRequest, sealInChunks } from './damagedMessages.ts'
import { httpFuzz } from './httpFuzz.ts'
import { rawExchange, within } from './rawExchange.ts'
import { GATEWAY, MODEL, type Roles, startRoles } from './roles.ts'

/*
 * A client that sends what no client sends, to roles that run as their operators run them. Whatever it is: the status
 * of docs/wire.md, the very same bytes for everything that does not open, no crash, no hang, and nothing spent.
 */

const SEED = 20_261_120
const run = <Values>(property: fc.IAsyncProperty<Values>, numRuns: number) =>
  fc.assert(property, { seed: SEED, numRuns, endOnFailure: true })

let roles: Roles
let client: Client
let pids: readonly number[]

type Spent = { readonly nullifiers: number; readonly asked: number; readonly balance: unknown }
let before: Spent

const spent = async (): Promise<Spent> => ({
  nullifiers: (await readFile(join(roles.gateway.folder, 'state', 'nullifiers.log'))).length,
  asked: roles.upstream.asked.length,
  balance: await client.balance(),
})
/** Whether a request of the usual kind is answered. It costs a token. */
const good = async () => {
  const response = await within(client.fetch(...chat()), 'a good request')
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('Fine.')])
}

beforeAll(async () => {
  roles = await startRoles({ proxy: {} })
  // Enough for all, so that nothing is bought in the background and counted as something else.
  client = await openClient(roles, { mint: { lowWater: 1, batch: 256 } })
  await client.ready()
  await good()
  pids = roles.all.map(({ pid }) => pid)
})
beforeEach(async () => {
  before = await spent()
})
afterEach(async () => {
  expect(roles.all.map(({ pid, isAlive }) => isAlive() && pid)).toEqual(pids)
  for (const { name, url } of roles.all) {
    const { status } = await within(fetch(new URL('/healthz', url)), `${name}/healthz`)
    expect([name, status]).toEqual([name, 200])
  }
  expect(await spent()).toEqual(before)
  expect(client.wallet.unsettled()).toEqual([])
  await good()
})
afterAll(async () => {
  await client?.close(0)
  await roles?.close()
})

describe('what a gateway cannot open', () => {
  /** Of a payment that was never made, so that nothing of it may be spent by accident. */
  const message = () => outerRequest(gatewayResources.infer, randomBytes(2_500))
  const send = (url: string, body: Uint8Array, type: string = ohttpMediaTypes.chunkedRequest) =>
    rawExchange(url, { type, body })
  const doors = () => [`${roles.gateway.url}/ohttp`, `${roles.relay.url}/gateways/${GATEWAY}`] as const

  it('is answered with the same bytes, whatever is wrong and whoever brings it', async () => {
    const { gatewayKey } = await client.directory()
    const pieces = await sealInChunks(gatewayKey, message(), 600)
    const sealed = concatBytes(...(await sealInChunks(gatewayKey, message(), 16_384)))
    const garbage = concatBytes(gatewayKey.header, randomBytes(100))
    const expected = await Promise.all(doors().map(async (url) => (await send(url, garbage)).text))
    expect(expected.map((text) => text.split('\r\n')[0])).toEqual(Array(2).fill('HTTP/1.1 400 Bad Request'))
    expect(expected.map((text) => text.split('\r\n\r\n')[1])).toEqual(['', ''])

    const first = concatBytes(gatewayKey.header, pieces[0]?.subarray(7) ?? new Uint8Array(0))
    expect((await send(doors()[0], first)).text).toBe(expected[0])
    const bodies = fc.oneof(
      { weight: 4, arbitrary: damaged(sealed) },
      {
        weight: 2,
        arbitrary: disordered(pieces.length)
          .filter((order) => order[0] === 0)
          .map((order) => concatBytes(...order.map((at) => pieces[at] ?? new Uint8Array(0)))),
      },
    )
    await run(
      fc.asyncProperty(bodies, fc.constantFrom(0, 1), async (body, door) => {
        expect((await send(doors()[door] ?? '', body)).text).toBe(expected[door])
      }),
      120,
    )
    // What is sealed for somebody else of the same name, is of another type, or is too long, says no more.
    const other = concatBytes(...(await sealInChunks(await impostorOf(gatewayKey), message(), 16_384)))
    for (const [at, url] of doors().entries()) expect((await send(url, other)).text).toBe(expected[at])
    for (const type of ['text/plain', ohttpMediaTypes.request, `${ohttpMediaTypes.chunkedRequest};a=b`])
      expect((await send(doors()[0], sealed, type)).text).toBe(expected[0])
    // On a connection that stays: one that is to be closed may be cut while the rest is still sent.
    const large = await fetch(doors()[0], { method: 'POST', body: new Uint8Array(9_000_000) })
    expect([large.status, await large.text()]).toEqual([400, ''])
  })

  it('for want of the key is told so, in the words of RFC 9458', async () => {
    const { gatewayKey } = await client.directory()
    const sealed = concatBytes(...(await sealInChunks(gatewayKey, message(), 16_384)))
    await run(
      fc.asyncProperty(fc.nat(6), fc.nat(7), fc.constantFrom(0, 1), async (at, bit, door) => {
        const body = sealed.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte))
        const answer = await send(doors()[door] ?? '', body)
        expect(answer.status).toBe(400)
        expect(answer.text.toLowerCase()).toContain('content-type: application/problem+json')
        expect(JSON.parse(answer.body)).toMatchObject({ type: OHTTP_KEY_PROBLEM })
      }),
      20,
    )
  })

  it('because it has come before is answered so too, and the first is not paid twice', async () => {
    const { gatewayKey } = await client.directory()
    const order = await makeOrder(client, { node: 'node-a', body: Buffer.from(String(chat()[1].body)) })
    const content = encodePaidRequest({ ...order.spend, innerRequest: order.innerRequest })
    const body = concatBytes(
      ...(await sealInChunks(gatewayKey, outerRequest(gatewayResources.infer, content), 16_384)),
    )
    const [door = '', relay = ''] = doors()
    const garbage = concatBytes(gatewayKey.header, randomBytes(100))
    const first = await send(door, body)
    expect(first.status).toBe(200)
    // Paid once, and settled by reclaiming what was not asked for here.
    await client.reclaim()
    before = await spent()
    for (const url of [door, relay, door]) {
      expect((await send(url, body)).text).toBe((await send(url, garbage)).text)
    }
  })
})

describe('what opens at a gateway and is no payment', () => {
  it('is refused, sealed, before anything is taken', async () => {
    const order = await makeOrder(client, { node: 'node-a', body: Buffer.from(String(chat()[1].body)) })
    const content = encodePaidRequest({ ...order.spend, innerRequest: order.innerRequest })
    const flip = (at: number, bit: number) =>
      content.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte))
    const bit = fc.nat(7)
    const contents = fc.oneof(
      // Version, count and token: whatever is changed there is no payment. So are type and key of a change request.
      fc.tuple(fc.nat(1 + tokenLength), bit).map(([at, which]) => flip(at, which)),
      fc.tuple(fc.nat(2), bit).map(([at, which]) => flip(2 + tokenLength + at, which)),
      fc.integer({ min: 0, max: content.length - 1 }).map((length) => content.subarray(0, length)),
      fc.uint8Array({ maxLength: 64 }).map((more) => concatBytes(content, Uint8Array.of(0), more)),
      fc.uint8Array({ maxLength: 2_000 }),
    )
    const codes = new Set<string | null>()
    await run(
      fc.asyncProperty(contents, async (each) => {
        const fields = [
          [headers.node, 'node-a'],
          [headers.model, MODEL],
        ] as const
        const answer = await within(
          sendToGateway(client, roles, { path: gatewayResources.infer, headers: fields, content: each }),
          'a payment that is none',
        )
        expect([400, 402, 422]).toContain(answer.status)
        expect(answer.hasChange).toBe(false)
        codes.add(answer.code)
      }),
      120,
    )
    expect([...codes].sort()).toEqual(['change_refused', 'malformed', 'not_padded', 'tokens_refused'])
    await client.purse.wallet.release(order.spend.id)
  })

  it.each([
    gatewayResources.reclaim,
    gatewayResources.tokenStatus,
    gatewayResources.reissue,
    gatewayResources.measurements,
    '/other',
  ])('nor for %s', async (path) => {
    await run(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 1_000 }).filter(({ length }) => length !== 32),
        async (content) => {
          const answer = await within(sendToGateway(client, roles, { path, content }), path)
          expect([400, 404]).toContain(answer.status)
          expect(answer.hasChange).toBe(false)
        },
      ),
      15,
    )
  })
})

describe('what a node cannot open', () => {
  /** As a gateway that was paid would send it, so that only the message is at fault. */
  async function asGateway() {
    const identity = await openIdentity(join(roles.gateway.folder, 'state', 'identity'))
    const { nodes } = await client.directory()
    const [node] = nodes
    if (node === undefined) return expect.unreachable('there is a node')
    const key = await sealingKey(nodeHpke, node.keys)
    const url = `${roles.nodes[0]?.url}/ohttp`
    const send = (body: Uint8Array, { issuedAt = Date.now(), ceiling = 4 } = {}) =>
      rawExchange(url, {
        type: ohttpMediaTypes.chunkedRequest,
        body,
        headers: {
          [headers.authorization]: createAuthorization(
            identity,
            { ceiling, issuedAt },
            {
              node: node.identity,
              innerRequestHash: new Uint8Array(createHash('sha256').update(body).digest()),
            },
          ),
        },
      })
    return { key, url, send }
  }
  const request = () =>
    padRequest(
      encodeRequest({
        method: 'POST',
        scheme: 'https',
        authority: '',
        path: '/v1/chat/completions',
        headers: [],
        content: Buffer.from('{'),
        trailers: [],
      }),
    )

  it('is answered with the same bytes, whatever is wrong', async () => {
    const { key, send } = await asGateway()
    const pieces = await sealInChunks(key, request(), 300)
    const sealed = concatBytes(...(await sealInChunks(key, request(), 16_384)))
    const expected = (await send(concatBytes(key.header, randomBytes(100)))).text
    expect(expected).toMatch(/^HTTP\/1\.1 400 .*\r\n\r\n$/s)
    const bodies = fc.oneof(
      { weight: 3, arbitrary: damaged(sealed) },
      {
        weight: 1,
        arbitrary: disordered(pieces.length)
          .filter((order) => order[0] === 0)
          .map((order) => concatBytes(...order.map((at) => pieces[at] ?? new Uint8Array(0)))),
      },
    )
    await run(
      fc.asyncProperty(bodies, async (body) => {
        expect((await send(body)).text).toBe(expected)
      }),
      100,
    )
    const other = concatBytes(...(await sealInChunks(await impostorOf(key), request(), 16_384)))
    expect((await send(other)).text).toBe(expected)
    // The first time it opens, and is refused sealed: what it says is no JSON. Then never again.
    expect((await send(sealed)).status).toBe(200)
    for (let times = 0; times < 3; times++) expect((await send(sealed)).text).toBe(expected)
  })

  it('for want of the key is told so', async () => {
    const { key, send } = await asGateway()
    const sealed = concatBytes(...(await sealInChunks(key, request(), 16_384)))
    for (let at = 0; at < 7; at++) {
      const answer = await send(sealed.map((byte, index) => (index === at ? byte ^ 1 : byte)))
      expect([answer.status, JSON.parse(answer.body)]).toEqual([
        400,
        expect.objectContaining({ type: OHTTP_KEY_PROBLEM }),
      ])
    }
  })

  it('nor may be asked without a gateway that was paid', async () => {
    const { key, url, send } = await asGateway()
    const sealed = concatBytes(...(await sealInChunks(key, request(), 16_384)))
    const refused = async (value: string | undefined) => {
      const answer = await rawExchange(url, {
        type: ohttpMediaTypes.chunkedRequest,
        body: sealed,
        headers: value === undefined ? {} : { [headers.authorization]: value },
      })
      expect([answer.status, answer.body]).toEqual([401, expect.stringContaining('not_authorized')])
    }
    await refused(undefined)
    await run(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
          fc.string({ unit: 'grapheme-ascii', maxLength: 100 }).map((text) => text.trim()),
        ),
        refused,
      ),
      25,
    )
    expect((await send(sealed, { issuedAt: Date.now() - 61_000 })).status).toBe(401)
    expect((await send(sealed, { issuedAt: Date.now() + 61_000 })).status).toBe(401)
    expect((await fetch(url, { method: 'POST', body: new Uint8Array(5_000_000) })).status).toBe(413)
  })

  it('is the same request paid for again: all comes back', async () => {
    const body = Buffer.from(String(chat()[1].body))
    const [order, again] = [
      await makeOrder(client, { node: 'node-a', body }),
      await makeOrder(client, { node: 'node-a', body }),
    ]
    expect((await sendOrder(client, roles, order, { node: 'node-a' })).status).toBe(200)
    const replayed = { spend: again.spend, innerRequest: order.innerRequest }
    expect(await sendOrder(client, roles, replayed, { node: 'node-a' })).toMatchObject({
      code: 'node_failed',
      hasChange: true,
    })
    // The wallet knows nothing of it: it was paid for another request than it is recorded for.
    await client.purse.wallet.settle(again.spend.id, [])
    await client.reclaim()
    before = await spent()
  })
})

clearFuzz(() => ({ roles, client }), SEED)
httpFuzz(() => roles, SEED)
