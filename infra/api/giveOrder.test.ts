import { expect, it } from 'vitest'
import { giveOrder } from './giveOrder.ts'
import type { TradingOrder } from './status.ts'

/** What is written for an order, where there are two agents. */
async function written(order: Pick<TradingOrder, 'agent' | 'state'>): Promise<unknown[]> {
  const orders: unknown[] = []
  const journals = {
    async setTradingState(...given: [scope: unknown, state: unknown, reason: unknown]) {
      orders.push(given)
    },
  }
  await giveOrder(journals, { ...order, reason: 'why' }, ['a', 'b'])
  return orders
}

it('says a halt to all in one word, and what is for one to that one alone', async () => {
  expect(await written({ agent: null, state: 'halted' })).toEqual([['all', 'halted', 'why']])
  expect(await written({ agent: 'a', state: 'active' })).toEqual([[{ agent: 'a' }, 'active', 'why']])
})

it('says a resumption of all to each as well, who may have been halted by name', async () => {
  expect(await written({ agent: null, state: 'active' })).toEqual([
    ['all', 'active', 'why'],
    [{ agent: 'a' }, 'active', 'why'],
    [{ agent: 'b' }, 'active', 'why'],
  ])
})
