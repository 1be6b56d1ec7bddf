import { connect } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRaw, statusOf } from '../../http/rawClient.fixture.ts'
import { ByteWriter } from '../protocol/binary/byteWriter.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { sealChunkedRequest } from '../protocol/ohttp/chunked.ts'
import { decodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { decodeToken, nullifierOf } from '../tokens/privacyPass/token.ts'
import type { Order } from './client.fixture.ts'
import { eventually } from './eventually.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'

const nullifiers = memoryNullifiers()
let world: World
let order: Order
let body: Uint8Array
let expected: string
beforeAll(async () => {
  world = await createWorld({ nullifiers })
  await world.client.buy(16)
  order = await world.client.order()
  body = (await world.client.seal(world.client.inferRequest(order))).body
  expected = await exchange(Buffer.from('not a request'))
})
afterAll(() => world.close())

/** Sends a body and returns the answer to its last byte, as it is on the wire. */
function exchange(
  content: Uint8Array,
  { type = ohttpMediaTypes.chunkedRequest as string, length = content.length, url = world.gateway.url } = {},
): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1')
      const head = answer.indexOf('\r\n\r\n')
      const expectedLength = Number(/content-length: (\d+)/i.exec(answer)?.[1] ?? Number.NaN)
      if (head < 0 || answer.length < head + 4 + expectedLength) return
      socket.destroy()
      resolve(answer)
    })
    socket.on('error', reject)
    socket.on('end', () => reject(new RangeError('The connection ended without an answer.')))
    socket.write(
      `POST /ohttp HTTP/1.1\r\nhost: gateway\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`,
    )
    socket.write(content)
  })
}

const head = (length: number): string =>
  `POST /ohttp HTTP/1.1\r\nhost: gateway\r\ncontent-type: ${ohttpMediaTypes.chunkedRequest}\r\ncontent-length: ${length}\r\n\r\n`

const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array =>
  Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ (1 << bit) : byte))

describe('what does not open', () => {
  it('is answered with an empty 400', () => {
    expect(expected).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(expected.endsWith('\r\n\r\n')).toBe(true)
    expect(expected).not.toMatch(/date|content-type/i)
  })

  it('is answered with the same bytes, whatever is wrong with it', async () => {
    const { keyId, publicKey } = decodeKeyConfigs(
      new Uint8Array(await (await fetch(`${world.gateway.url}/ohttp-keys`)).arrayBuffer()),
    )[0] as { keyId: number; publicKey: Uint8Array }
    const wrongKey = await createGatewayKey(nodeHpke, keyId, await nodeHpke.generateKeyPair())
    expect(wrongKey.publicKey.bytes).not.toEqual(publicKey)
    const sealedElsewhere = await (await sealChunkedRequest(wrongKey)).sealer.end(new Uint8Array(2_048))
    const header = body.subarray(0, 39)
    const lowOrder = Uint8Array.from(body, (byte, at) => (at >= 7 && at < 39 ? 0 : byte))
    const largeChunk = Buffer.concat([header, new ByteWriter().prefixed(new Uint8Array(16_401)).finish()])

    const { client } = world
    const replayed = (await client.seal({ method: 'GET', path: '/measurements' })).body
    expect((await client.post(replayed)).status).toBe(200)

    for (const each of [new Uint8Array(), header, sealedElsewhere, lowOrder, largeChunk, replayed])
      expect(await exchange(each)).toBe(expected)
    expect(await exchange(body, { type: ohttpMediaTypes.request })).toBe(expected)
    expect(await exchange(body, { type: 'text/plain' })).toBe(expected)
    // Too large by its own word.
    expect(await exchange(body.subarray(0, 100), { length: 20 << 20 })).toBe(expected)
    const impatient = await world.start({ state: join(world.folder, 'impatient'), limits: { body: 50 } })
    const never = body.subarray(0, 100)
    expect(await exchange(never, { length: 200, url: impatient.url })).toBe(expected)
    await impatient.close()
  })

  it('is answered with the same bytes, wherever it was cut or changed', async () => {
    // The first seven bytes name the key, in the clear.
    const place = fc.integer({ min: 7, max: body.length - 1 })
    const mutated = fc
      .oneof(
        fc.integer({ min: 0, max: body.length - 1 }).map((length) => body.subarray(0, length)),
        fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(([at, bit]) => flip(body, at, bit)),
        fc.uint8Array({ minLength: 1, maxLength: 64 }).map((more) => Buffer.concat([body, more])),
        fc
          .tuple(place, place)
          .map(([from, to]) => Buffer.concat([body.subarray(0, from), body.subarray(to + 1)])),
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([body.subarray(0, 7), bytes])),
      )
      // A piece that is cut out may be none.
      .filter((each) => Buffer.compare(each, body) !== 0)
    await fc.assert(
      fc.asyncProperty(mutated, async (each) => {
        expect(await exchange(each)).toBe(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('is told to come again, unopened, where too much arrives at once, and leaves no trace', async () => {
    // Room for one of two.
    const small = await world.start({ state: join(world.folder, 'small'), limits: { unopened: 300_000 } })
    try {
      const two = await Promise.all([connectRaw(small.url), connectRaw(small.url)])
      for (const each of two) {
        each.send(head(250_000))
        each.send(Buffer.alloc(180_000))
      }
      const refused = await Promise.any(two.map((each) => each.until('"busy"')))
      expect(refused).toMatch(/^HTTP\/1\.1 429 /)
      expect(refused).not.toContain('problem+json')
      for (const { socket } of two) socket.destroy()
      const status = async (length: number) =>
        statusOf(await exchange(Buffer.alloc(length), { url: small.url }))
      await eventually(() => status(140_000)).toBe(400)
      // Whatever was counted is counted no more: as much fits as before.
      for (let round = 0; round < 4; round++) expect(await status(140_000)).toBe(400)
      // More than there is at all.
      expect(await status(301_000)).toBe(429)
    } finally {
      await small.close()
    }
  })

  it('is given up where it trickles, as if it had stopped', async () => {
    const strict = await world.start({
      state: join(world.folder, 'strict'),
      limits: { body: 200, slowest: 1_000_000 },
    })
    const client = await connectRaw(strict.url)
    client.send(head(1_000_000))
    const drip = setInterval(() => client.send('a'), 20)
    try {
      expect(await client.until('\r\n\r\n')).toBe(expected)
    } finally {
      clearInterval(drip)
      client.socket.destroy()
      await strict.close()
    }
  })

  it('for want of the key says so in the words of RFC 9458', async () => {
    for (let at = 0; at < 7; at++) {
      const response = await world.client.post(flip(body, at, 0))
      expect(response.status).toBe(400)
      expect(response.headers.get('content-type')).toBe('application/problem+json')
      expect(await response.json()).toMatchObject({ type: OHTTP_KEY_PROBLEM })
    }
  })

  it('spends nothing, asks no node, and leaves the real request as good as new', async () => {
    expect(world.node.asked).toBe(0)
    for (const token of order.tokens)
      expect(await nullifiers.isSpent(nullifierOf(decodeToken(token)))).toBe(false)
    expect((await world.client.post(body)).status).toBe(200)
    expect(world.node.asked).toBe(1)
  })
})

describe('what opens and is no request', () => {
  it('is answered sealed, and spends nothing', async () => {
    const { client } = world
    const requests = fc.record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS'),
      path: fc.constantFrom(
        '/infer',
        '/reclaim',
        '/token-status',
        '/reissue',
        '/measurements',
        '/',
        '/other',
      ),
      content: fc.uint8Array({ maxLength: 3_000 }),
    })
    const asked = world.node.asked
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        const { response, change } = await client.call(request)
        const isMeasurements = request.method === 'GET' && request.path === '/measurements'
        if (isMeasurements) expect(response.status).toBe(200)
        else if (response.status === 200) expect(request.path).toBe('/token-status')
        else expect([400, 404]).toContain(response.status)
        expect(change).toBeUndefined()
      }),
      { numRuns: 100 },
    )
    expect(world.node.asked).toBe(asked)
  })
})
