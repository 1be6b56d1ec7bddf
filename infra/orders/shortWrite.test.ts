import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { giveOwnerOrder, openOrders } from './ownerOrders.ts'

// A disk on which there is room for a few bytes more, and later for none.

const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY, most: Number.POSITIVE_INFINITY }))
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  return {
    ...real,
    writeSync(fd: number, data: string | Uint8Array, offset = 0) {
      const bytes = Buffer.from(data as string)
      const taken = Math.min(bytes.length - offset, disk.most, disk.room)
      if (taken === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      disk.room -= taken
      return real.writeSync(fd, bytes, offset, taken)
    },
  }
})

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-orders-'))
  disk.room = disk.most = Number.POSITIVE_INFINITY
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const halt = () => giveOwnerOrder(directory, { scope: 'all', state: 'halted', reason: 'a test' })

describe('an order that the disk takes only a part of', () => {
  it('is written to its end, part by part', () => {
    disk.most = 7
    halt()
    expect(openOrders(directory).stateFor({})).toBe('halted')
  })

  it('is never said to hold, and the next one does', () => {
    disk.room = 20
    expect(halt).toThrow(expect.objectContaining({ code: 'ORDERS_UNWRITABLE' }))
    expect(openOrders(directory).stateFor({})).toBe('active')
    disk.room = Number.POSITIVE_INFINITY
    halt()
    expect(openOrders(directory).stateFor({})).toBe('halted')
  })
})
