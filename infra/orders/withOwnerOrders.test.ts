import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { agentId } from '../../runtime/core/ids.ts'
import { memoryJournals } from '../../test/twins/memoryJournal.ts'
import { giveOwnerOrder, openOrders } from './ownerOrders.ts'
import { withOwnerOrders } from './withOwnerOrders.ts'

const guardian = agentId('guardian')
const account = '0x00000000000000000000000000000000000000A1'

async function opened() {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-orders-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const store = memoryJournals()
  const told: string[] = []
  const journal = withOwnerOrders(await store.open(31_337, `0x${'11'.repeat(32)}`), openOrders(directory), {
    error: (_fields, message) => told.push(message),
  })
  return { directory, store, journal, told, state: () => journal.tradingState(guardian, account) }
}

it('takes the strictest of what the journal and the folder hold', async () => {
  const { directory, store, state } = await opened()
  expect(await state()).toBe('active')
  giveOwnerOrder(directory, { scope: { account }, state: 'reducing', reason: 'a test' })
  expect(await state()).toBe('reducing')
  await store.setTradingState('all', 'halted', 'a test')
  expect(await state()).toBe('halted')
  await store.setTradingState('all', 'active', 'a test')
  expect(await state()).toBe('reducing')
  giveOwnerOrder(directory, { scope: 'all', state: 'active', reason: 'a test' })
  expect(await state()).toBe('active')
})

it('halts when the folder’s orders cannot be read, and says why', async () => {
  const { directory, state, told } = await opened()
  appendFileSync(join(directory, 'orders.jsonl'), 'edited\n')
  expect(await state()).toBe('halted')
  expect(told).toEqual([expect.stringContaining('cannot be read')])
})
