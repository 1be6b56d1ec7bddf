import { expect, it } from 'vitest'
import { agentId } from '../../runtime/core/ids.ts'
import { giveOrder } from './giveOrder.ts'
import type { TradingOrder } from './status.ts'

const account = '0x00000000000000000000000000000000000000A1'

/** What is written for an order, where there are two agents on one account. */
async function written(order: Pick<TradingOrder, 'scope' | 'state'>): Promise<unknown[]> {
  const orders: unknown[] = []
  const journals = {
    async setTradingState(...given: [scope: unknown, state: unknown, reason: unknown]) {
      orders.push(given)
    },
  }
  await giveOrder(
    journals,
    { ...order, reason: 'why' },
    {
      agents: ['a', 'b'],
      accounts: [account],
    },
  )
  return orders
}

it('says a halt to all in one word, and what is for one to that one alone', async () => {
  expect(await written({ scope: 'all', state: 'halted' })).toEqual([['all', 'halted', 'why']])
  expect(await written({ scope: { account }, state: 'active' })).toEqual([[{ account }, 'active', 'why']])
  expect(await written({ scope: { agent: agentId('a') }, state: 'active' })).toEqual([
    [{ agent: 'a' }, 'active', 'why'],
  ])
})

it('says a resumption of all to each as well, who may have been halted by name', async () => {
  expect(await written({ scope: 'all', state: 'active' })).toEqual([
    ['all', 'active', 'why'],
    [{ agent: 'a' }, 'active', 'why'],
    [{ agent: 'b' }, 'active', 'why'],
    [{ account }, 'active', 'why'],
  ])
})
