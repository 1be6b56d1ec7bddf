import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { agentId } from '../../runtime/core/ids.ts'
import { giveOwnerOrder, openOrders } from './ownerOrders.ts'

const guardian = agentId('guardian')
const account = '0x00000000000000000000000000000000000000A1'
const other = '0x00000000000000000000000000000000000000B2'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-orders-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

const file = () => join(directory, 'orders.jsonl')
const say = (scope: Parameters<typeof giveOwnerOrder>[1]['scope'], state: 'active' | 'reducing' | 'halted') =>
  giveOwnerOrder(directory, { scope, state, reason: 'a test' })

describe('the orders of an owner', () => {
  it('are active where nothing was said', () => {
    expect(openOrders(directory).stateFor({ agent: guardian, account })).toBe('active')
  })

  it('are seen by whoever has the folder open already', () => {
    const orders = openOrders(directory)
    expect(orders.stateFor({ agent: guardian })).toBe('active')
    say('all', 'halted')
    expect(orders.stateFor({ agent: guardian })).toBe('halted')
    say('all', 'active')
    expect(orders.stateFor({ agent: guardian })).toBe('active')
  })

  it('hold for the one that they name, and the strictest counts', () => {
    const orders = openOrders(directory)
    say({ account }, 'reducing')
    expect(orders.stateFor({ agent: guardian, account })).toBe('reducing')
    expect(orders.stateFor({ agent: guardian, account: other })).toBe('active')
    say({ agent: guardian }, 'halted')
    expect(orders.stateFor({ agent: guardian, account })).toBe('halted')
    expect(orders.stateFor({ agent: 'another', account })).toBe('reducing')
    expect(orders.stateFor({ account: account.toLowerCase() as typeof account })).toBe('reducing')
    say({ agent: guardian }, 'active')
    expect(orders.stateFor({ agent: guardian, account })).toBe('reducing')
    expect(orders.list()).toMatchObject([{ scope: { account }, state: 'reducing' }])
  })

  it('halt everybody on an account that is evacuated, until something else was said about it', () => {
    const orders = openOrders(directory)
    const target = { agent: guardian, account } as const
    const evacuate = (scope: Parameters<typeof say>[0]) =>
      giveOwnerOrder(directory, { scope, state: 'evacuating', reason: 'a test' })
    expect(orders.evacuates(target)).toBe(false)
    say('all', 'halted')
    evacuate({ account })
    expect(orders.evacuates(target)).toBe(true)
    expect(orders.evacuates({ agent: guardian, account: other })).toBe(false)
    expect(orders.stateFor(target)).toBe('halted')
    say({ agent: guardian }, 'halted')
    expect(orders.evacuates(target)).toBe(false)
    evacuate('all')
    expect(openOrders(directory).evacuates(target)).toBe(true)
    say('all', 'active')
    expect(orders.evacuates(target)).toBe(false)
    expect(orders.stateFor(target)).toBe('active')
  })

  it('are all taken back by one to all', () => {
    say({ account }, 'halted')
    say({ agent: guardian }, 'reducing')
    say('all', 'active')
    expect(openOrders(directory).stateFor({ agent: guardian, account })).toBe('active')
    expect(openOrders(directory).list()).toEqual([])
  })

  it('are for their owner alone', () => {
    say('all', 'halted')
    expect(statSync(file()).mode & 0o777).toBe(0o600)
  })

  it('survive a line that a crash cut off, which nobody was told of', () => {
    say('all', 'halted')
    appendFileSync(file(), '{"scope":"all","state":"act')
    expect(openOrders(directory).stateFor({})).toBe('halted')
    say({ account }, 'reducing')
    expect(openOrders(directory).stateFor({ account })).toBe('halted')
    say('all', 'active')
    expect(openOrders(directory).stateFor({ account })).toBe('active')
  })

  it('survive a line that was cut off anywhere', () => {
    say({ agent: guardian }, 'halted')
    const line = readFileSync(file(), 'utf8').trimEnd()
    for (let length = 1; length < line.length; length++) {
      writeFileSync(file(), line.slice(0, length), { mode: 0o600 })
      say({ account }, 'reducing')
      expect(openOrders(directory).stateFor({ account }), line.slice(0, length)).toBe('reducing')
    }
  })

  it.each([
    ['an edited line', '{"scope":"all","state":"on","reason":"","at":""}\n'],
    ['what is no order', '[]\n'],
    ['what is no JSON', 'halt everything\n'],
  ])('say so of %s, every time', (_what, text) => {
    writeFileSync(file(), text, { mode: 0o600 })
    const orders = openOrders(directory)
    for (let look = 0; look < 2; look++)
      expect(() => orders.stateFor({})).toThrow(expect.objectContaining({ code: 'ORDERS_CORRUPT' }))
  })

  it('say so when they cannot be written', () => {
    rmSync(directory, { recursive: true })
    expect(() => say('all', 'halted')).toThrow(expect.objectContaining({ code: 'ORDERS_UNWRITABLE' }))
  })

  it('say so when they cannot be read', () => {
    mkdirSync(file())
    expect(() => openOrders(directory).stateFor({})).toThrow(
      expect.objectContaining({ code: 'ORDERS_UNREADABLE' }),
    )
  })
})
