import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { headers } from '../protocol/network/routes.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import { decodeToken, nullifierOf } from '../tokens/privacyPass/token.ts'
import { memoryAnswers } from '../tokens/redelivery/memoryAnswers.ts'
import type { Order } from './client.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'
import { MODEL, type NodeTurn, sayHello } from './peers.fixture.ts'

let time = Date.now()
const nullifiers = memoryNullifiers()
let world: World
beforeAll(async () => {
  world = await createWorld({
    nullifiers,
    answers: memoryAnswers({ answerBytes: 10_000, now: () => time }),
    limits: { keptPerAnswer: 10_000, spends: 60, spendsPerNode: 60 },
  })
  await world.client.buy(160)
})
afterEach(() => {
  world.node.script = sayHello
})
afterAll(() => world.close())

const areSpent = (order: Order) =>
  Promise.all(order.tokens.map((token) => nullifiers.isSpent(nullifierOf(decodeToken(token)))))

/** Something that a test waits for and something else makes happen. */
function gate() {
  let open: () => void = () => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, passed }
}

describe('a paid request', () => {
  it('comes back with the answer, a receipt and change', async () => {
    const { client } = world
    const order = await client.order()
    const answered = await client.infer(order)
    expect(answered.response.status).toBe(200)
    expect(await client.text(order, answered)).toBe('hello')
    expect(answered.receipt).toHaveLength(132)
    expect(answered.change?.paid).toBe(4)
    expect(await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])).toBe(3)
    expect(await areSpent(order)).toEqual([true, true, true, true])
  })

  it('can be paid with change', async () => {
    const { client } = world
    const change = await client.change()
    expect(client.wallet.balance(change).ready).toBe(3)
    const order = await client.order({ count: 1 })
    const answered = await client.infer(order)
    expect(await client.text(order, answered)).toBe('hello')
    expect(answered.change).toEqual({ paid: 1, responses: [] })
    await client.wallet.settle(order.spend.id, [])
  })

  it('has an answer of the same length whatever comes back of the payment', async () => {
    const { client, node } = world
    const lengths: number[] = []
    for (const used of [0, 2, 4]) {
      node.script = async (turn) => {
        turn.begin()
        await turn.say('hello')
        await turn.end(used)
      }
      const order = await client.order()
      const { body, exchange } = await client.seal(client.inferRequest(order))
      const response = await client.post(body)
      const copy = response.clone()
      const { change } = await client.open(exchange, response)
      expect(await client.wallet.settle(order.spend.id, change?.responses ?? [])).toBe(4 - used)
      lengths.push((await copy.arrayBuffer()).byteLength)
    }
    expect(new Set(lengths).size).toBe(1)
  })

  it('is told to the node with its ceiling, and not a byte is changed', async () => {
    const { client, node } = world
    let seen: NodeTurn | undefined
    node.script = async (turn) => {
      seen = turn
      await sayHello(turn)
    }
    const order = await client.order()
    await client.infer(order)
    expect(seen?.ceiling).toBe(4)
    expect(Buffer.compare(seen?.body ?? Buffer.alloc(0), order.innerRequest)).toBe(0)
  })
})

describe('what is refused before anything is reserved', () => {
  const refused = async (order: Order, request: Parameters<World['client']['call']>[0]) => {
    const asked = world.node.asked
    const answered = await world.client.call(request)
    expect(answered.change).toBeUndefined()
    expect(world.node.asked).toBe(asked)
    expect(await areSpent(order)).toEqual(order.tokens.map(() => false))
    return [answered.response.status, answered.code]
  }
  const fields = (node: string, model: string) => [
    [headers.node, node] as const,
    [headers.model, model] as const,
  ]

  it('is what is no payment, a wrong length, a stranger, a forgery, and change that cannot be signed', async () => {
    const { client } = world
    const order = await client.order()
    const request = client.inferRequest(order)
    const with_ = (changed: Partial<Order>) => client.inferRequest({ ...order, ...changed })
    const flipped = order.tokens.map((token, at) => {
      const copy = Uint8Array.from(token)
      if (at === 0) copy[300] = (copy[300] ?? 0) ^ 1
      return copy
    })
    const [first] = order.tokens as [Uint8Array]
    const [blinded] = order.changeRequests as [Uint8Array]
    const unknownKey = order.changeRequests.map((each) => {
      const copy = Uint8Array.from(each)
      copy[2] = (copy[2] ?? 0) ^ 1
      return copy
    })
    expect(await refused(order, { ...request, content: request.content.subarray(0, 500) })).toEqual([
      400,
      'malformed',
    ])
    expect(await refused(order, { ...request, headers: [] })).toEqual([400, 'malformed'])
    expect(
      await refused(order, { ...request, headers: [...fields('node-1', MODEL), [headers.node, 'node-2']] }),
    ).toEqual([400, 'malformed'])
    expect(await refused(order, with_({ innerRequest: order.innerRequest.subarray(1) }))).toEqual([
      400,
      'not_padded',
    ])
    expect(await refused(order, { ...request, headers: fields('node-2', MODEL) })).toEqual([
      404,
      'node_unknown',
    ])
    expect(await refused(order, { ...request, headers: fields('node-1', 'other') })).toEqual([
      404,
      'model_unknown',
    ])
    expect(await refused(order, with_({ tokens: flipped }))).toEqual([402, 'tokens_refused'])
    expect(await refused(order, with_({ tokens: order.tokens.map(() => first) }))).toEqual([
      402,
      'tokens_refused',
    ])
    expect(
      await refused(
        order,
        with_({ tokens: order.tokens.slice(2), changeRequests: order.changeRequests.slice(2) }),
      ),
    ).toEqual([402, 'tokens_refused'])
    expect(await refused(order, with_({ changeRequests: order.changeRequests.map(() => blinded) }))).toEqual([
      422,
      'change_refused',
    ])
    expect(await refused(order, with_({ changeRequests: unknownKey }))).toEqual([422, 'change_refused'])
    expect((await client.infer(order)).response.status).toBe(200)
  })

  it('is one more than the gateway works on at once', async () => {
    const { client, node } = world
    const { open, passed } = gate()
    let waiting = 0
    const all = gate()
    node.script = async (turn) => {
      waiting += 1
      if (waiting === 60) all.open()
      await passed
      await sayHello(turn)
    }
    const orders = await Promise.all(Array.from({ length: 60 }, () => client.order({ count: 1 })))
    const answers = orders.map(client.infer)
    await all.passed
    const order = await client.order({ count: 1 })
    expect(await refused(order, client.inferRequest(order))).toEqual([429, 'busy'])
    open()
    expect((await Promise.all(answers)).every(({ response }) => response.status === 200)).toBe(true)
    expect((await client.infer(order)).response.status).toBe(200)
  })
})

describe('the same payment again', () => {
  it('runs once, however many copies come at once, and all get the same', async () => {
    const { client, node } = world
    const asked = node.asked
    const order = await client.order()
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.infer(order)))
    expect(node.asked).toBe(asked + 1)
    for (const answered of answers) {
      expect(await client.text(order, answered)).toBe('hello')
      expect(answered.change).toEqual(answers[0]?.change)
      expect(answered.receipt).toBe(answers[0]?.receipt)
    }
    expect(await client.wallet.settle(order.spend.id, answers[7]?.change?.responses ?? [])).toBe(3)
  })

  it('is followed from the beginning while it is under way', async () => {
    const { client, node } = world
    const said = gate()
    const attached = gate()
    node.script = async (turn) => {
      turn.begin()
      await turn.say('first ')
      said.open()
      await attached.passed
      await turn.say('second')
      await turn.end(2)
    }
    const order = await client.order()
    const first = client.infer(order)
    await said.passed
    const { body, exchange } = await client.seal(client.inferRequest(order))
    const response = await client.post(body)
    attached.open()
    const second = await client.open(exchange, response)
    expect(await client.text(order, second)).toBe('first second')
    expect(await client.text(order, await first)).toBe('first second')
    expect(second.change).toEqual((await first).change)
  })

  it('is delivered again for a minute as it was, and later has the same change', async () => {
    const { client, node } = world
    const order = await client.order()
    const first = await client.infer(order)
    const asked = node.asked
    time += 59_000
    const again = await client.infer(order)
    expect(again.response).toEqual(first.response)
    time += 2_000
    const later = await client.infer(order)
    expect([later.response.status, later.code]).toEqual([410, 'answer_gone'])
    expect(later.change).toEqual(first.change)
    expect(node.asked).toBe(asked)
  })

  it('finds an answer gone that was too large to keep, with its change', async () => {
    const { client, node } = world
    const { open, passed } = gate()
    node.script = async (turn) => {
      turn.begin()
      for (let at = 0; at < 4; at++) await turn.say('x'.repeat(8_000))
      await passed
      await turn.end(1)
    }
    const order = await client.order()
    const { body, exchange } = await client.seal(client.inferRequest(order))
    const response = await client.post(body)
    const reader = response.clone().body?.getReader()
    for (let got = 0; got < 30_000; ) got += (await reader?.read())?.value?.length ?? 30_000
    // While it is under way nobody can follow it from its beginning any more.
    const late = client.infer(order)
    open()
    expect((await client.text(order, await client.open(exchange, response))).length).toBe(32_000)
    const after = await client.infer(order)
    for (const answered of [await late, after]) {
      expect([answered.response.status, answered.code]).toEqual([410, 'answer_gone'])
      expect(answered.change?.responses).toHaveLength(3)
    }
    expect((await late).change).toEqual(after.change)
  })

  it('for anything else is refused, wholly and partly', async () => {
    const { client, node } = world
    const order = await client.order()
    await client.infer(order)
    const asked = node.asked
    const other = await client.order()
    for (const thief of [
      { ...other, tokens: order.tokens },
      { ...order, innerRequest: other.innerRequest },
      { ...order, changeRequests: other.changeRequests },
      { ...other, tokens: [...other.tokens.slice(1), order.tokens[0] as Uint8Array] },
    ]) {
      const answered = await client.infer(thief)
      expect([answered.response.status, answered.code, answered.change]).toEqual([
        409,
        'token_spent',
        undefined,
      ])
    }
    expect(node.asked).toBe(asked)
    // What the thief brought along is not lost.
    expect(await areSpent(other)).toEqual([false, false, false, false])
    expect((await client.infer(other)).response.status).toBe(200)
  })

  it('is settled once of many that race for one token', async () => {
    const { client, node } = world
    const asked = node.asked
    const [one, ...others] = await Promise.all(Array.from({ length: 8 }, () => client.order({ count: 1 })))
    const tokens = one?.tokens ?? []
    const all = [one, ...others].flatMap((order) => (order === undefined ? [] : [{ ...order, tokens }]))
    const statuses = (await Promise.all(all.map(client.infer))).map(({ response }) => response.status)
    expect(statuses.toSorted()).toEqual([200, ...others.map(() => 409)])
    expect(node.asked).toBe(asked + 1)
  })
})
