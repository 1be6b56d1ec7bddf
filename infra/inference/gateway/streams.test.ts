import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import type { Order } from './client.fixture.ts'
import { eventually } from './eventually.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'
import { type NodeTurn, sayHello } from './peers.fixture.ts'

let world: World
beforeAll(async () => {
  world = await createWorld({
    nullifiers: memoryNullifiers(),
    limits: { keptPerAnswer: 1 << 20, kept: 8 << 20 },
  })
  await world.client.buy(64)
})
afterEach(() => {
  world.node.script = sayHello
})
afterAll(() => world.close())

/** Sends a payment and hands out the answer's stream, of which nothing is read yet. */
async function begin(order: Order) {
  const { client, gateway } = world
  const { body, exchange } = await client.seal(client.inferRequest(order))
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpRequest(
      `${gateway.url}/ohttp`,
      { method: 'POST', headers: { 'content-type': ohttpMediaTypes.chunkedRequest }, agent: false },
      resolve,
    )
    sent.on('error', reject)
    sent.end(body)
  })
  const read = async () => {
    const parts: Uint8Array[] = []
    for await (const part of message) parts.push(part as Uint8Array)
    return client.open(exchange, new Response(Buffer.concat(parts)))
  }
  return { message, read }
}

const piece = 'x'.repeat(16_000)

/** Says so many pieces, each when the one before has gone out, and counts them. */
function talk(pieces: number) {
  const talked = { said: 0, ended: false }
  const script = async (turn: NodeTurn) => {
    turn.begin()
    for (; talked.said < pieces; talked.said++) await turn.say(piece)
    await turn.end(2)
    talked.ended = true
  }
  return { talked, script }
}

const outcomes = async (): Promise<string> =>
  (await (await fetch(`${world.gateway.url}/metrics`)).text())
    .split('\n')
    .filter((line) => line.startsWith('rialto_gateway_requests_total{route="infer"'))
    .join('\n')

describe('a client that goes away', () => {
  it('finds the whole answer when it comes back, and its change', async () => {
    const { client, node } = world
    let goOn: () => void = () => undefined
    const gone = new Promise<void>((resolve) => {
      goOn = resolve
    })
    node.script = async (turn) => {
      turn.begin()
      await turn.say('hello ')
      await gone
      await turn.say('again')
      await turn.end(1)
    }
    const order = await client.order()
    const { message } = await begin(order)
    message.destroy()
    await eventually(outcomes).toMatch(/outcome="gone"} 1/)
    const asked = node.asked
    goOn()
    const answered = await client.infer(order)
    expect(await client.text(order, answered)).toBe('hello again')
    expect(node.asked).toBe(asked)
    expect(await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])).toBe(3)
  })

  it('does not keep the node from ending, nor from being paid', async () => {
    const { client, node } = world
    // Larger than is kept, and than any buffer on its way.
    const { talked, script } = talk(2_000)
    node.script = script
    const order = await client.order()
    const { message } = await begin(order)
    message.destroy()
    const { change } = await client.reclaim(order)
    expect(change?.responses).toHaveLength(2)
    expect(talked.ended).toBe(true)
  })
})

describe('a reader that is slow', () => {
  it('holds back the node of an answer too large to keep, and gets all of it', async () => {
    const { client, node } = world
    const { talked, script } = talk(4_000)
    node.script = script
    const order = await client.order()
    const { message, read } = await begin(order)
    message.pause()
    // What the system's buffers take on three connections is far from all.
    let before = -1
    await eventually(() => {
      const still = talked.said === before
      before = talked.said
      return still && talked.said > 0
    }, 100).toBe(true)
    expect(talked.said).toBeLessThan(3_500)
    const text = await client.text(order, await read())
    expect(createHash('sha256').update(text).digest('hex')).toBe(
      createHash('sha256').update(piece.repeat(4_000)).digest('hex'),
    )
    expect(talked.ended).toBe(true)
  })

  it('does not hold back the others', async () => {
    const { client, node } = world
    const { script } = talk(4_000)
    node.script = script
    const slow = await begin(await client.order())
    slow.message.pause()
    node.script = sayHello
    const order = await client.order({ count: 1 })
    expect(await client.text(order, await client.infer(order))).toBe('hello')
    slow.message.destroy()
  })
})

describe('a reader that takes nothing', () => {
  it('is cut off, and its answer is drained and settled without it', async () => {
    await world.restart({ limits: { stall: 300, keptPerAnswer: 1 << 20, kept: 8 << 20 } })
    const { client, node } = world
    const { talked, script } = talk(4_000)
    node.script = script
    const order = await client.order()
    const { message } = await begin(order)
    message.pause()
    await eventually(outcomes).toMatch(/outcome="stalled"} 1/)
    const { change } = await client.reclaim(order)
    expect(change?.responses).toHaveLength(2)
    expect(talked.ended).toBe(true)
    message.destroy()
  })
})

it('closes within its grace when all have ended, and cuts and settles what has not', async () => {
  const { client, node } = world
  let end: () => void = () => undefined
  let asked: () => void = () => undefined
  const ending = new Promise<void>((resolve) => {
    end = resolve
  })
  const arrived = new Promise<void>((resolve) => {
    asked = resolve
  })
  node.script = async (turn) => {
    turn.begin()
    await turn.say('hello')
    asked()
    await ending
    await turn.end(1)
  }
  const order = await client.order()
  const answered = client.infer(order)
  await arrived
  const closed = world.gateway.close(60_000)
  expect((await client.post(new Uint8Array(10)).catch(() => ({ status: 503 }))).status).toBe(503)
  end()
  expect(await client.text(order, await answered)).toBe('hello')
  await closed

  await world.restart()
  node.script = async (turn) => {
    turn.begin()
    await turn.say('hel')
  }
  const cut = await client.order()
  const { read } = await begin(cut)
  await world.gateway.close(50)
  await expect(read()).rejects.toThrow()
  node.script = sayHello
  await world.restart()
  const again = await client.infer(cut)
  expect(again.change?.responses).toHaveLength(4)
})
