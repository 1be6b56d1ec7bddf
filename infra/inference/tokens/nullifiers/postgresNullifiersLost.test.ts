import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestProxy, type TestProxy } from '../testProxy.ts'
import type { NullifierStore } from './nullifierStore.ts'
import { randomDigests, randomSpend, unsettledBy } from './testNullifierStore.ts'
import { NEEDS_SERVER, postgresStores, server } from './testPostgresStores.ts'

// The connection breaks just when the database has answered, or before: nobody can tell which.

const code = (value: string) => expect.objectContaining({ code: value })
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it must fail'),
    (error: unknown) => error,
  )

describe.runIf(server !== '')(`nullifiers behind a connection that breaks (${NEEDS_SERVER})`, () => {
  const { url, opened } = postgresStores()
  let proxy: TestProxy
  let store: NullifierStore
  beforeEach(async () => {
    const direct = new URL(url())
    proxy = await openTestProxy(Number(direct.port))
    direct.port = String(proxy.port)
    direct.hostname = '127.0.0.1'
    store = await opened({ url: direct.href, owner: 'here' })
  })
  afterEach(() => proxy.close())

  it('leaves a reservation in doubt, which is fresh when it is asked for again, once', async () => {
    const spend = randomSpend()
    const cut = proxy.cutAtAnswer()
    await expect(store.reserve(spend)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await cut
    // It did take place, as everybody else can see.
    const other = await opened()
    expect(await other.reserve(spend)).toEqual(unsettledBy('here'))
    await expect(store.reserve(spend)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await proxy.mend()
    expect(await store.reserve({ ...spend, nullifiers: spend.nullifiers.toReversed() })).toEqual({
      kind: 'fresh',
    })
    expect(await store.reserve(spend)).toEqual(unsettledBy('here'))
  })

  it('gives a doubtful reservation to one of many who ask again', async () => {
    const spend = randomSpend()
    const cut = proxy.cutAtAnswer()
    const first = await Promise.allSettled(Array.from({ length: 10 }, () => store.reserve(spend)))
    expect(first.map(({ status }) => status)).toEqual(first.map(() => 'rejected'))
    await cut
    await proxy.mend()
    const again = await Promise.all(Array.from({ length: 10 }, () => store.reserve(spend)))
    expect(again.filter(({ kind }) => kind === 'fresh')).toHaveLength(1)
  })

  it('knows a doubtful reservation again behind another spend of its token', async () => {
    const spend = randomSpend()
    const cut = proxy.cutAtAnswer()
    await expect(store.reserve(spend)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await cut
    await proxy.mend()
    const thief = { ...spend, binding: randomBytes(32) }
    const results = await Promise.allSettled([
      store.reserve(thief),
      store.reserve(spend),
      store.reserve(thief),
      store.reserve(spend),
    ])
    expect(results).toEqual([
      { status: 'rejected', reason: code('NULLIFIER_SPENT') },
      { status: 'fulfilled', value: { kind: 'fresh' } },
      { status: 'rejected', reason: code('NULLIFIER_SPENT') },
      { status: 'fulfilled', value: unsettledBy('here') },
    ])
  })

  it('gives a doubtful reservation to nobody when it was settled elsewhere', async () => {
    const spend = randomSpend()
    const cut = proxy.cutAtAnswer()
    await expect(store.reserve(spend)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await cut
    const other = await opened()
    await other.settle(spend, 4, randomDigests(4))
    await proxy.mend()
    expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: 4 })
  })

  it('takes a reservation that did not take place neither for made nor for lost', async () => {
    const spend = randomSpend()
    await proxy.cut()
    await expect(store.reserve(spend)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    const other = await opened()
    const [token = randomBytes(32)] = spend.nullifiers
    expect(await other.isSpent(token)).toBe(false)
    expect(await other.reserve({ nullifiers: [token], binding: randomBytes(32) })).toEqual({
      kind: 'fresh',
    })
    await proxy.mend()
    await expect(store.reserve(spend)).rejects.toThrow(code('NULLIFIER_SPENT'))
  })

  it('fails every question, and none of them for good', async () => {
    const spend = randomSpend()
    const digests = randomDigests(1)
    await store.reserve(spend)
    const cut = proxy.cutAtAnswer()
    await expect(store.settle(spend, 1, digests)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await cut
    for (const asking of [
      () => store.settle(spend, 1, digests),
      () => store.isSpent(randomBytes(32)),
      () => store.wasSigned(digests[0] ?? randomBytes(16)),
    ])
      expect(await failure(asking())).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    await proxy.mend()
    await store.settle(spend, 1, digests)
    expect(await store.reserve(spend)).toEqual({ kind: 'repeated', change: 1 })
  })

  it('is replaced unnoticed when it was idle', async () => {
    await store.reserve(randomSpend())
    await proxy.cut()
    await proxy.mend()
    expect(await store.reserve(randomSpend())).toEqual({ kind: 'fresh' })
  })
})
