import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { entryPoint } from '../../process/entryPoint.ts'
import { exportIdentityKey, generateIdentity } from '../protocol/network/identity.ts'
import { createClient, type Order, type TestClient } from './client.fixture.ts'
import {
  GATEWAY,
  MINT,
  sayHello,
  startTestMint,
  startTestNode,
  type TestMint,
  type TestNode,
} from './peers.fixture.ts'

const identity = generateIdentity()
let folder: string
let mint: TestMint
let node: TestNode
let client: TestClient
let child: ChildProcess
let url: string

async function start(): Promise<void> {
  const { path, execArgv } = entryPoint(import.meta.url, './testGateway')
  const seed = Buffer.from(exportIdentityKey(identity)).toString('hex')
  const args = [folder, seed, GATEWAY, MINT, mint.url, node.url, node.identity.identity.text]
  child = spawn(process.execPath, [...execArgv, path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  url = line.toString().trim()
}

async function kill(): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** Half of the requests are free, so that there is change to be lost or made. */
const costOf = (innerRequestHash: Uint8Array): number => (innerRequestHash.at(-1) ?? 0) % 2

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-crash-'))
  mint = await startTestMint()
  node = await startTestNode(identity)
  await start()
  client = await createClient({ folder, url: () => url, gateway: identity, pair: mint.pair })
  await client.buy(120)
})
beforeEach(() => {
  node.script = sayHello
})
afterAll(async () => {
  await kill()
  await Promise.all([mint.close(), node.close(), client.wallet.close()])
  await rm(folder, { recursive: true })
})

describe('a gateway that is killed', () => {
  it('in the middle of an answer gives everything back, once, and takes the tokens for nothing else', async () => {
    let saidSome: () => void = () => undefined
    const some = new Promise<void>((resolve) => {
      saidSome = resolve
    })
    node.script = async (turn) => {
      turn.begin()
      await turn.say('hel')
      saidSome()
    }
    const order = await client.order()
    const { epoch } = (await client.directory()).directory
    const lost = client.infer(order).then(
      () => 'answered',
      () => 'lost',
    )
    await some
    await kill()
    expect(await lost).toBe('lost')
    await start()

    expect((await client.directory()).directory.epoch).toBeGreaterThan(epoch)
    const asked = node.asked
    const thief = await client.order()
    expect((await client.infer({ ...thief, tokens: order.tokens })).code).toBe('token_spent')
    const answered = await client.infer(order)
    expect([answered.response.status, answered.code]).toEqual([503, 'answer_lost'])
    expect(node.asked).toBe(asked)
    expect((await client.reclaim(order)).change).toEqual(answered.change)
    expect(await client.wallet.settle(order.spend.id, answered.change?.responses ?? [])).toBe(4)
    expect((await client.infer({ ...thief, tokens: order.tokens })).code).toBe('token_spent')
    node.script = sayHello
    const { change } = await client.infer(thief)
    expect(await client.wallet.settle(thief.spend.id, change?.responses ?? [])).toBe(3)
  })

  it('at any moment loses no token and makes none', async () => {
    for (let round = 0; round < 4; round++) {
      const orders = await Promise.all(Array.from({ length: 16 }, () => client.order({ count: 1 })))
      let answeredSome: () => void = () => undefined
      const some = new Promise<void>((resolve) => {
        answeredSome = resolve
      })
      const receipts = new Map<Order, number>()
      let done = 0
      node.script = async (turn) => {
        turn.begin()
        await turn.say('hello')
        await turn.end(costOf(turn.innerRequestHash))
      }
      const all = orders.map((order) =>
        client.infer(order).then(
          ({ change }) => {
            receipts.set(order, change?.responses.length ?? -1)
            done += 1
            if (done === 4 * round) answeredSome()
          },
          () => undefined,
        ),
      )
      if (round > 0) await some
      await kill()
      await Promise.all(all)
      await start()
      for (const order of orders) {
        const { change } = await client.reclaim(order)
        const known = receipts.get(order)
        // Whoever was told something is told the same; whoever was not gets the rest or all.
        if (known !== undefined) expect(change?.responses.length).toBe(known)
        if (costOf(order.spend.innerRequestHash) === 0) expect(change?.responses.length).toBe(1)
        expect((await client.reclaim(order)).change).toEqual(change)
        await client.wallet.settle(order.spend.id, change?.responses ?? [])
      }
    }
    expect(client.wallet.unsettled()).toHaveLength(0)
  })
})
