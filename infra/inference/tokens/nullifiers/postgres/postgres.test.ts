import { inspect } from 'node:util'
import { DatabaseError } from 'pg'
import { describe, expect, it } from 'vitest'
import { randomSpend } from '../testNullifierStore.ts'
import { createBatches } from './batches.ts'
import { createDoubts } from './doubts.ts'
import { NOT_DURABLE, toStoreError } from './toStoreError.ts'

describe('createBatches', () => {
  /** Batches that are answered when the test says so. */
  function underControl(most: number) {
    const calls: { items: readonly number[]; answer(): void; fail(): void }[] = []
    const batches = createBatches<number, string>(
      (items) =>
        new Promise((resolve, reject) => {
          calls.push({
            items,
            answer: () => resolve(items.map(String)),
            fail: () => reject(new RangeError('failed')),
          })
        }),
      most,
    )
    return { batches, calls }
  }

  it('asks at once for what comes at once, and meanwhile collects the next batch', async () => {
    const { batches, calls } = underControl(10)
    const first = Promise.all([batches.add(1), batches.add(2)])
    await Promise.resolve()
    const second = Promise.all([3, 4, 5].map(batches.add))
    expect(calls.map(({ items }) => items)).toEqual([[1, 2]])
    calls[0]?.answer()
    expect(await first).toEqual(['1', '2'])
    expect(calls.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4, 5],
    ])
    calls[1]?.answer()
    expect(await second).toEqual(['3', '4', '5'])
    const third = batches.add(6)
    await Promise.resolve()
    calls[2]?.answer()
    expect(await third).toBe('6')
  })

  it('asks for no more than a batch may hold', async () => {
    const { batches, calls } = underControl(2)
    const all = Promise.all([1, 2, 3, 4, 5].map(batches.add))
    for (const [at, size] of [2, 2, 1].entries()) {
      while (calls.length <= at) await Promise.resolve()
      expect(calls[at]?.items).toHaveLength(size)
      calls[at]?.answer()
    }
    expect(await all).toEqual(['1', '2', '3', '4', '5'])
  })

  it('tells a failure to those of its batch alone', async () => {
    const { batches, calls } = underControl(1)
    const results = Promise.allSettled([batches.add(1), batches.add(2)])
    await Promise.resolve()
    calls[0]?.fail()
    while (calls.length < 2) await Promise.resolve()
    calls[1]?.answer()
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })
})

describe('createDoubts', () => {
  it('gives an attempt back once, to the same spend in any order', () => {
    const doubts = createDoubts(10)
    const spend = randomSpend()
    expect(doubts.take(spend)).toBeUndefined()
    doubts.put(spend, 'first')
    doubts.put(randomSpend(), 'other')
    expect(doubts.take({ ...spend, binding: randomSpend().binding })).toBeUndefined()
    expect(doubts.take({ ...spend, nullifiers: spend.nullifiers.toReversed() })).toBe('first')
    expect(doubts.take(spend)).toBeUndefined()
  })

  it('keeps the latest of too many', () => {
    const doubts = createDoubts(3)
    const spends = Array.from({ length: 5 }, () => randomSpend())
    for (const [at, spend] of spends.entries()) doubts.put(spend, String(at))
    expect(spends.map((spend) => doubts.take(spend))).toEqual([undefined, undefined, '2', '3', '4'])
  })
})

describe('toStoreError', () => {
  it.each([
    ['08006', 'STORE_UNAVAILABLE', true],
    ['40001', 'STORE_UNAVAILABLE', true],
    ['40P01', 'STORE_UNAVAILABLE', true],
    ['53100', 'STORE_UNAVAILABLE', true],
    ['53300', 'STORE_UNAVAILABLE', true],
    ['55P03', 'STORE_UNAVAILABLE', true],
    ['57014', 'STORE_UNAVAILABLE', true],
    ['57P01', 'STORE_UNAVAILABLE', true],
    ['57P03', 'STORE_UNAVAILABLE', true],
    ['58030', 'STORE_UNAVAILABLE', true],
    ['25006', 'STORE_UNAVAILABLE', true],
    ['ECONNRESET', 'STORE_UNAVAILABLE', true],
    ['28P01', 'STORE_REFUSED', false],
    ['3D000', 'STORE_REFUSED', false],
    ['42501', 'STORE_REFUSED', false],
    ['42P01', 'STORE_REFUSED', false],
    ['23505', 'STORE_REFUSED', false],
    [NOT_DURABLE, 'STORE_NOT_DURABLE', false],
  ])('%s is %s', (given, code, retryable) => {
    const cause = Object.assign(new DatabaseError('Key (nullifier)=(secret) exists', 1, 'error'), {
      code: given,
      detail: 'secret',
      where: 'secret',
    })
    const error = toStoreError(cause, 'host/database')
    expect(error).toMatchObject({ code, retryable })
    expect(error.toLine()).toContain('host/database')
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('secret')
  })

  it.each([
    ['timeout exceeded when trying to connect', 'no answer in time'],
    ['Query read timeout', 'no answer in time'],
    ['Connection terminated unexpectedly', 'the connection broke'],
  ])('"%s" without a code is a connection that failed', (message, reason) => {
    expect(toStoreError(new RangeError(message), 'here')).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
      details: { reason },
    })
  })

  it('is passed on once it is one of ours', () => {
    const error = toStoreError(new RangeError(), 'here')
    expect(toStoreError(error, 'there')).toBe(error)
  })
})
