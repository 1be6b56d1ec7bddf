import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type World } from './gateway.fixture.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
  await world.client.buy(64)
})
afterAll(() => world.close())

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
  })
})
