import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { encodeContent, encodeEnd, encodeResponseHead } from '../protocol/bhttp/encode.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { headers, mediaTypes } from '../protocol/network/routes.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { eventually } from './eventually.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'
import { type NodeTurn, sayHello } from './peers.fixture.ts'

let world: World
beforeAll(async () => {
  world = await createWorld({ nullifiers: memoryNullifiers(), rotation: { nodes: 100 } })
  await world.client.buy(120)
})
afterEach(() => {
  world.node.script = sayHello
})
afterAll(() => world.close())

/** Asks, and settles with the change; returns what is left to judge. */
async function ask(script: (turn: NodeTurn) => Promise<void> | void) {
  const { client, node } = world
  node.script = script
  const order = await client.order()
  const answered = await client.infer(order)
  const returned = await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])
  const { code, receipt, content } = answered
  return { order, answered, status: answered.response.status, code, receipt, content, returned }
}

describe('a receipt that does not verify leaves the node unpaid', () => {
  it.each<[string, (turn: NodeTurn) => Uint8Array | null]>([
    ['none', () => null],
    ['one of another identity', (turn) => turn.receipt({ by: generateIdentity() })],
    ['one of another request', (turn) => turn.receipt({ innerRequestHash: randomBytes(32) })],
    ['one that charges more than was paid', (turn) => turn.receipt({ used: 5 })],
    ['one of another ceiling', (turn) => turn.receipt({ ceiling: 16, used: 16 })],
    ['one of another model', (turn) => turn.receipt({ model: 'public/model-2' })],
    [
      'one of another version',
      (turn) => Uint8Array.from(turn.receipt(), (byte, at) => (at === 0 ? 2 : byte)),
    ],
    ['one that was cut', (turn) => turn.receipt().subarray(1)],
    ['garbage', () => randomBytes(99)],
  ])('%s', async (_, receipt) => {
    const { order, answered, ...seen } = await ask(async (turn) => {
      turn.begin()
      await turn.say('hello')
      await turn.end(receipt(turn))
    })
    expect(seen).toMatchObject({ status: 200, receipt: undefined, returned: 4 })
    expect(await world.client.text(order, answered)).toBe('hello')
  })
})

describe('a node that breaks off', () => {
  it('before its answer has begun gives a problem, and all comes back', async () => {
    expect(await ask((turn) => void turn.response.destroy())).toMatchObject({
      status: 502,
      code: 'node_failed',
      returned: 4,
    })
    expect(
      await ask((turn) => {
        turn.begin()
        turn.response.destroy()
      }),
    ).toMatchObject({ status: 502, code: 'node_failed', returned: 4 })
  })

  it('within its answer gives a stream that is whole outside and cut inside', async () => {
    const { order, answered, ...seen } = await ask(async (turn) => {
      turn.begin()
      await turn.say('hel')
      turn.response.destroy()
    })
    expect(seen).toMatchObject({ status: 200, receipt: undefined, returned: 4 })
    await expect(world.client.text(order, answered)).rejects.toMatchObject({ code: 'STREAM_TRUNCATED' })
  })

  it('with an end that lacks its trailers is not paid for it', async () => {
    const { order, answered, ...seen } = await ask(async (turn) => {
      turn.begin()
      await turn.say('hello')
      turn.response.end()
    })
    expect(seen).toMatchObject({ status: 200, receipt: undefined, returned: 4 })
    await expect(world.client.text(order, answered)).rejects.toMatchObject({ code: 'STREAM_TRUNCATED' })
  })
})

describe('a node that answers what is no answer', () => {
  const bhttp = (bytes: Uint8Array) => (turn: NodeTurn) =>
    void turn.response.writeHead(200, { 'content-type': mediaTypes.binaryHttp }).end(bytes)
  const head = (status: number, type: string) =>
    encodeResponseHead({ informational: [], status, headers: [['content-type', type]] })
  const rest = Buffer.concat([encodeContent(randomBytes(50)), encodeEnd()])

  it.each<[string, (turn: NodeTurn) => void, number, string]>([
    ['garbage', bhttp(randomBytes(1_000)), 502, 'node_failed'],
    ['nothing', bhttp(Buffer.alloc(0)), 502, 'node_failed'],
    ['a status of its own', bhttp(Buffer.concat([head(404, 'application/json'), rest])), 502, 'node_failed'],
    [
      'an answer that is not sealed',
      bhttp(Buffer.concat([head(200, 'application/json'), rest])),
      502,
      'node_failed',
    ],
    ['endless headers', bhttp(Buffer.concat([head(200, 'x'.repeat(70_000)), rest])), 502, 'node_failed'],
    [
      'another media type',
      (turn) =>
        void turn.response.writeHead(200, { 'content-type': ohttpMediaTypes.chunkedResponse }).end('x'),
      502,
      'node_failed',
    ],
    ['401', (turn) => void turn.response.writeHead(401).end(), 502, 'node_failed'],
    [
      '500 without end',
      (turn) => void turn.response.writeHead(500).write('x'.repeat(100_000)),
      502,
      'node_failed',
    ],
    ['429', (turn) => void turn.response.writeHead(429).end(), 429, 'busy'],
    ['503', (turn) => void turn.response.writeHead(503).end(), 503, 'node_unavailable'],
    ['a redirect', (turn) => void turn.response.writeHead(302, { location: '/x' }).end(), 502, 'node_failed'],
  ])('%s', async (_, script, status, code) => {
    expect(await ask(script)).toMatchObject({ status, code, receipt: undefined, returned: 4 })
  })
})

describe('a node that is late', () => {
  afterAll(() => world.restart())

  it('with its first byte is given up', async () => {
    await world.restart({ limits: { firstByte: 200 } })
    expect(await ask(() => undefined)).toMatchObject({ status: 504, code: 'node_timeout', returned: 4 })
    // The head alone is no beginning.
    expect(await ask((turn) => turn.begin())).toMatchObject({
      status: 504,
      code: 'node_timeout',
      returned: 4,
    })
  })

  it('with the next byte is cut', async () => {
    await world.restart({ limits: { silence: 200 } })
    const seen = await ask(async (turn) => {
      turn.begin()
      await turn.say('hel')
    })
    expect(seen).toMatchObject({ status: 200, receipt: undefined, returned: 4 })
  })

  it('with the end is cut, however much it says', async () => {
    await world.restart({ limits: { whole: 3_000 } })
    const seen = await ask(async (turn) => {
      turn.begin()
      const talking = setInterval(() => void turn.say('and '), 50)
      turn.response.on('close', () => clearInterval(talking))
    })
    expect(seen).toMatchObject({ status: 200, receipt: undefined, returned: 4 })
    expect(seen.content.length).toBeGreaterThan(100)
  })
})

describe('a node that is not there', () => {
  it('costs nothing', async () => {
    const { client } = world
    const order = await client.order()
    await world.node.pause()
    const answered = await client.infer(order)
    await world.node.resume()
    expect([answered.response.status, answered.code]).toEqual([503, 'node_unavailable'])
    expect(await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])).toBe(4)
  })

  it('or has another key by now is told apart, and its new key is in the next directory', async () => {
    const { client, node } = world
    const order = await client.order()
    const { epoch } = (await client.directory()).directory
    await node.rotate()
    const answered = await client.infer(order)
    expect([answered.response.status, answered.code]).toEqual([503, 'node_key_unknown'])
    expect(await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])).toBe(4)
    await eventually(async () => (await client.directory()).directory.epoch).toBeGreaterThan(epoch)
    const next = await client.order()
    expect((await client.infer(next)).response.status).toBe(200)
  })
})

it('measures its nodes in coarse steps', async () => {
  await world.client.buy(32)
  // Fewer requests are not told of.
  for (let each = 0; each < 8; each++) await world.client.infer(await world.client.order())
  const measured = await world.client.call({ method: 'GET', path: '/measurements' })
  const { nodes } = JSON.parse(Buffer.from(measured.content).toString())
  expect(nodes).toEqual([
    {
      node: 'node-1',
      model: 'public/model-1',
      firstByteMs: expect.any(Number),
      errorPercent: expect.any(Number),
    },
  ])
  expect(String(nodes[0].firstByteMs)).toMatch(/^[125]0*$/)
  expect([0, 1, 2, 5, 10, 20, 50, 100]).toContain(nodes[0].errorPercent)
})

it('counts and logs nothing of a request', async () => {
  const text = await (await fetch(`${world.gateway.url}/metrics`)).text()
  expect(text).toMatch(/rialto_gateway_tokens_redeemed_total [1-9]/)
  expect(text).toMatch(/rialto_gateway_spends_settled_total{outcome="node_key_unknown"} [1-9]/)
  expect(text).not.toContain(headers.node)
  expect(JSON.stringify(world.log.lines)).not.toMatch(/127\.0\.0\.1:\d+\/ohttp|[0-9a-f]{64}/)
})
