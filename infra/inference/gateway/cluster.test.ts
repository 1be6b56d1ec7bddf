import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openQueueServer, type QueueServer } from '../../queue/openQueueServer.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { toHex } from '../tokens/bytes.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import { memoryAnswers } from '../tokens/redelivery/memoryAnswers.ts'
import { createClient, spendOf, type TestClient } from './client.fixture.ts'
import { eventually } from './eventually.fixture.ts'
import { redisReplay } from './keys/redisReplay.ts'
import type { Gateway, GatewayOptions } from './options.ts'
import {
  GATEWAY,
  MINT,
  sayHello,
  startTestMint,
  startTestNode,
  type TestMint,
  type TestNode,
} from './peers.fixture.ts'
import { startGateway } from './startGateway.ts'

/** One store behind several owners, as processes share a database. */
function sharedStore(now: () => number): (owner: string) => NullifierStore {
  const store = memoryNullifiers({ now })
  const owners = new Map<string, string>()
  return (owner) => ({
    ...store,
    owner,
    async reserve(spend) {
      const reservation = await store.reserve(spend)
      const binding = toHex(spend.binding)
      if (reservation.kind === 'fresh') owners.set(binding, owner)
      if (reservation.kind === 'fresh' || reservation.change !== null) return reservation
      return { ...reservation, owner: owners.get(binding) ?? '' }
    },
  })
}

let storeTime = Date.now()
const storeOf = sharedStore(() => storeTime)
const identity = generateIdentity()
const seed = randomBytes(32)
const answers = memoryAnswers()
let folder: string
let queue: QueueServer
let redis: Redis
let mint: TestMint
let node: TestNode
const gateways: Gateway[] = []
const clients: TestClient[] = []

const start = async (owner: string, options: Partial<GatewayOptions> = {}): Promise<Gateway> => {
  const gateway = await startGateway({
    state: join(folder, 'state'),
    name: GATEWAY,
    identity,
    mints: [{ name: MINT, url: mint.url }],
    nodes: [{ url: node.url, identity: node.identity.identity }],
    nullifiers: storeOf(owner),
    answers,
    cluster: { seed, replay: redisReplay(redis, { gateway: GATEWAY, patience: 30_000 }) },
    rotation: { nodes: 30, mints: 30 },
    ...options,
  })
  gateways.push(gateway)
  return gateway
}

/** Of the two processes one or the other. */
const at = (which: 0 | 1): TestClient => clients[which] as TestClient

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-cluster-'))
  queue = await openQueueServer()
  redis = new Redis({ ...queue.connection, maxRetriesPerRequest: null })
  mint = await startTestMint()
  node = await startTestNode(identity)
  for (const owner of ['one', 'two']) {
    const gateway = await start(owner)
    clients.push(await createClient({ folder, url: () => gateway.url, gateway: identity, pair: mint.pair }))
  }
  await at(0).buy(64)
})
afterEach(() => {
  node.script = sayHello
})
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.close()))
  await Promise.all([mint.close(), node.close(), ...clients.map(({ wallet }) => wallet.close())])
  redis.disconnect()
  await queue.close()
  await rm(folder, { recursive: true })
})

describe('processes behind one name', () => {
  it('give the same directory, and open what is sealed for any of them', async () => {
    const [one, two] = await Promise.all([at(0).directory(), at(1).directory()])
    expect(two.document).toBe(one.document)
    const { body, exchange } = await at(0).seal({ method: 'GET', path: '/measurements' })
    expect((await at(1).open(exchange, await at(1).post(body))).response.status).toBe(200)
  })

  it('agree again after a change, on one document for each epoch', async () => {
    const seen = new Map<number, Set<string>>()
    const look = async () => {
      const both = await Promise.all([at(0).directory(), at(1).directory()])
      for (const { directory, document } of both)
        seen.set(directory.epoch, (seen.get(directory.epoch) ?? new Set()).add(document))
      return both
    }
    const [{ directory }] = await look()
    for (let change = 0; change < 5; change++) {
      await node.rotate()
      const { description } = node
      await eventually(async () => (await look()).map(({ directory: { nodes } }) => nodes)).toEqual([
        [description],
        [description],
      ])
      const [one, two] = await look()
      expect(one?.document).toBe(two?.document)
    }
    for (const documents of seen.values()) expect(documents.size).toBe(1)
    // One epoch for each change, and none for a quarrel.
    expect(Math.max(...seen.keys())).toBe(directory.epoch + 5)
  })

  it('refuse at one what was opened at the other', async () => {
    const { body } = await at(0).seal({ method: 'GET', path: '/measurements' })
    const statuses = await Promise.all(
      Array.from({ length: 10 }, async (_, turn) => (await at(turn % 2 === 0 ? 0 : 1).post(body)).status),
    )
    expect(statuses.toSorted()).toEqual([200, ...Array(9).fill(400)])
  })

  it('run a payment once that comes to both, and give the same answer and change', async () => {
    const order = await at(0).order()
    const asked = node.asked
    let goOn: () => void = () => undefined
    const waiting = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let arrived: () => void = () => undefined
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve
    })
    node.script = async (turn) => {
      arrived()
      await waiting
      await sayHello(turn)
    }
    const first = at(0).infer(order)
    await arrival
    const second = at(1).infer(order)
    const reclaimed = at(1).reclaim(order)
    goOn()
    const [one, two] = await Promise.all([first, second])
    expect(await at(0).text(order, two)).toBe('hello')
    expect(two.response).toEqual(one.response)
    expect((await reclaimed).change).toEqual(one.change)
    expect(node.asked).toBe(asked + 1)
    expect(await at(0).wallet.settle(order.spend.id, two.change?.responses ?? [])).toBe(3)
  })

  it('race for one payment, and one of them wins', async () => {
    const order = await at(0).order()
    const asked = node.asked
    const answered = await Promise.all(
      Array.from({ length: 12 }, (_, turn) => at(turn % 2 === 0 ? 0 : 1).infer(order)),
    )
    expect(node.asked).toBe(asked + 1)
    for (const { change, response } of answered) {
      expect(response.status).toBe(200)
      expect(change).toEqual(answered[0]?.change)
    }
  })

  it('give back what one that is gone had reserved, when its time is over', async () => {
    const order = await at(0).order()
    node.script = () => undefined
    const gone = storeOf('gone')
    const asked = node.asked
    // Another process reserves, and never comes back.
    expect(await gone.reserve(spendOf(order))).toEqual({ kind: 'fresh' })
    const waiting = at(1).infer(order)
    const first = await Promise.race([waiting, at(0).call({ method: 'GET', path: '/measurements' })])
    expect(first.code).toBeUndefined()
    storeTime += 700_000
    const answered = await waiting
    expect([answered.response.status, answered.code]).toEqual([503, 'answer_lost'])
    expect(answered.change?.responses).toHaveLength(4)
    expect((await at(0).reclaim(order)).change).toEqual(answered.change)
    expect(node.asked).toBe(asked)
  })

  it('open nothing while they cannot tell a replay', async () => {
    const unreachable = new Redis({
      host: '127.0.0.1',
      port: 1,
      lazyConnect: true,
      retryStrategy: () => null,
    })
    unreachable.on('error', () => undefined)
    const gateway = await start('three', {
      cluster: { seed, replay: redisReplay(unreachable, { gateway: GATEWAY, patience: 300 }) },
    })
    const order = await at(0).order()
    const asked = node.asked
    const { body } = await at(0).seal(at(0).inferRequest(order))
    const refused = await fetch(`${gateway.url}/ohttp`, {
      method: 'POST',
      headers: { 'content-type': 'message/ohttp-chunked-req' },
      body,
    })
    expect([refused.status, await refused.json()]).toEqual([
      503,
      expect.objectContaining({ error: expect.objectContaining({ code: 'store_unavailable' }) }),
    ])
    expect(node.asked).toBe(asked)
    expect((await at(0).infer(order)).response.status).toBe(200)
    unreachable.disconnect()
  })
})
