import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { gatewayResources } from '../protocol/network/routes.ts'
import { TokenError } from '../tokens/errors.ts'
import { memoryNullifiers } from '../tokens/nullifiers/memoryNullifiers.ts'
import type { NullifierStore } from '../tokens/nullifiers/nullifierStore.ts'
import { decodeToken, nullifierOf } from '../tokens/privacyPass/token.ts'
import { createClient } from './client.fixture.ts'
import { eventually } from './eventually.fixture.ts'
import { createWorld, type World } from './gateway.fixture.ts'
import { sayHello } from './peers.fixture.ts'

/** A store whose disk can be made to fail. */
function failingStore(): NullifierStore & {
  failing: Partial<Record<'reserve' | 'settle' | 'read', TokenError>>
} {
  const store = memoryNullifiers()
  const failing: Partial<Record<'reserve' | 'settle' | 'read', TokenError>> = {}
  const unless = <T>(what: keyof typeof failing, then: () => Promise<T>): Promise<T> => {
    const error = failing[what]
    return error === undefined ? then() : Promise.reject(error)
  }
  return {
    ...store,
    failing,
    reserve: (spend) => unless('reserve', () => store.reserve(spend)),
    settle: (...settlement) => unless('settle', () => store.settle(...settlement)),
    isSpent: (nullifier) => unless('read', () => store.isSpent(nullifier)),
    wasSigned: (digest) => unless('read', () => store.wasSigned(digest)),
  }
}

const nullifiers = failingStore()
let world: World
beforeAll(async () => {
  world = await createWorld({ nullifiers })
  await world.client.buy(64)
})
afterEach(() => {
  world.node.script = sayHello
  for (const what of ['reserve', 'settle', 'read'] as const) delete nullifiers.failing[what]
})
afterAll(() => world.close())

const broken = () => new TokenError('LOG_UNWRITABLE', 'The disk is full.')
const lost = () => new TokenError('STORE_UNAVAILABLE', 'Nobody knows.', { retryable: true })

describe('a reclaim', () => {
  it('of what never arrived takes the payment and gives it back whole', async () => {
    const { client, node } = world
    const order = await client.order()
    const asked = node.asked
    const { response, change } = await client.reclaim(order)
    expect(response.status).toBe(200)
    expect(response.content).toHaveLength(0)
    expect(await client.wallet.settle(order.spend.id, change?.responses ?? [])).toBe(4)
    // The request, should it come late, finds its payment gone.
    const late = await client.infer(order)
    expect([late.response.status, late.code, node.asked]).toEqual([410, 'answer_gone', asked])
    expect(late.change).toEqual(change)
  })

  it('of what was answered gives the same signatures, again and again', async () => {
    const { client } = world
    const order = await client.order()
    const { change } = await client.infer(order)
    for (let time = 0; time < 3; time++) expect((await client.reclaim(order)).change).toEqual(change)
  })

  it('of what is under way waits for it', async () => {
    const { client, node } = world
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
    const order = await client.order()
    const answer = client.infer(order)
    await arrival
    const reclaimed = client.reclaim(order)
    goOn()
    expect((await reclaimed).change).toEqual((await answer).change)
    expect((await answer).change?.responses).toHaveLength(3)
  })

  it('is refused for tokens of another spend, and for what is none', async () => {
    const { client } = world
    const order = await client.order()
    await client.infer(order)
    const other = await client.order()
    const theft = await client.reclaim({ ...other, tokens: order.tokens })
    expect([theft.response.status, theft.code, theft.change]).toEqual([409, 'token_spent', undefined])
    const nonsense = await client.call({ path: gatewayResources.reclaim, content: randomBytes(100) })
    expect([nonsense.response.status, nonsense.code]).toEqual([400, 'malformed'])
  })

  it('races its own request, and the two agree', async () => {
    const { client } = world
    const order = await client.order()
    const [answered, reclaimed] = await Promise.all([client.infer(order), client.reclaim(order)])
    expect(answered.change).toEqual(reclaimed.change)
  })
})

describe('a store that cannot record', () => {
  it('has the request answered in the clear, as if nobody had, and nothing is lost', async () => {
    const { client, gateway, node } = world
    const order = await client.order()
    const asked = node.asked
    nullifiers.failing.reserve = broken()
    const { body } = await client.seal(client.inferRequest(order))
    const refused = await client.post(body)
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ error: { code: 'store_unavailable' } })
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(503)
    expect(node.asked).toBe(asked)
    delete nullifiers.failing.reserve
    expect((await client.infer(order)).response.status).toBe(200)
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200)
  })

  it('at the end cuts the answer, and gives everything back when it can', async () => {
    const { client } = world
    const order = await client.order()
    nullifiers.failing.settle = broken()
    await expect(client.infer(order)).rejects.toThrow()
    const { body } = await client.seal(client.reclaimRequest(order))
    expect((await client.post(body)).status).toBe(503)
    delete nullifiers.failing.settle
    expect((await client.reclaim(order)).change?.responses).toHaveLength(4)
  })

  it('for a moment is waited for', async () => {
    const { client } = world
    const order = await client.order()
    nullifiers.failing.settle = lost()
    const answer = client.infer(order)
    await eventually(() => nullifiers.isSpent(nullifierOf(decodeToken(order.tokens[0] as Uint8Array)))).toBe(
      true,
    )
    delete nullifiers.failing.settle
    expect((await answer).change?.responses).toHaveLength(3)
  })
})

describe('a wallet that was lost', () => {
  it('finds what it has left, each token by a request of its own', async () => {
    const { client, folder, gateway, identity, mint } = world
    const order = await client.order()
    const { change } = await client.infer(order)
    await client.wallet.settle(order.spend.id, change?.responses ?? [])
    const issuer = await client.change()
    const again = await createClient({
      folder,
      url: () => gateway.url,
      gateway: identity,
      pair: mint.pair,
      seed: client.wallet.exportSeed(),
    })
    const found = await again.wallet.recover(issuer, {
      gap: 40,
      async reissue(request) {
        const { response, code } = await client.call({ path: gatewayResources.reissue, content: request })
        if (response.status === 404) expect(code).toBe('never_signed')
        return response.status === 200 ? response.content : null
      },
      async isSpent(nullifier) {
        const { content } = await client.call({ path: gatewayResources.tokenStatus, content: nullifier })
        return content[0] === 1
      },
    })
    const left = client.wallet.balance(issuer)
    expect(found).toBeGreaterThanOrEqual(left.ready)
    expect(again.wallet.balance(issuer).ready).toBe(found)
    await again.wallet.close()
  })

  it('cannot be told apart by the length of what it is answered', async () => {
    const { client } = world
    const order = await client.order()
    await client.infer(order)
    const signed = order.changeRequests[0] as Uint8Array
    const unsigned = order.changeRequests[3] as Uint8Array
    const lengths = await Promise.all(
      [
        { path: gatewayResources.reissue, content: signed },
        { path: gatewayResources.reissue, content: unsigned },
        {
          path: gatewayResources.tokenStatus,
          content: nullifierOf(decodeToken(order.tokens[0] as Uint8Array)),
        },
        { path: gatewayResources.tokenStatus, content: randomBytes(32) },
        { path: '/other' },
      ].map(async (request) => {
        const { body } = await client.seal(request)
        return (await (await client.post(body)).arrayBuffer()).byteLength
      }),
    )
    expect(new Set(lengths).size).toBe(1)
  })

  it('is told so when the store cannot be asked', async () => {
    const { client } = world
    nullifiers.failing.read = lost()
    const status = await client.call({ path: gatewayResources.tokenStatus, content: randomBytes(32) })
    expect([status.response.status, status.code]).toEqual([503, 'store_unavailable'])
    const order = await client.order()
    const reissue = await client.call({
      path: gatewayResources.reissue,
      content: order.changeRequests[0] as Uint8Array,
    })
    expect([reissue.response.status, reissue.code]).toEqual([503, 'store_unavailable'])
  })
})
