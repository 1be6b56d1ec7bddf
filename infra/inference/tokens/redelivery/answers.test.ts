import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openQueueServer, type QueueServer } from '../../../queue/openQueueServer.ts'
import { openTestProxy, type TestProxy } from '../testProxy.ts'
import { type AnswerCache, ENTRY_BYTES } from './answerCache.ts'
import { memoryAnswers } from './memoryAnswers.ts'
import { redisAnswers } from './redisAnswers.ts'
import { answerCacheSuite } from './testAnswerCache.ts'

const code = (value: string) => expect.objectContaining({ code: value })
const MINUTE = 60_000

let time = 0
answerCacheSuite({
  name: 'memory',
  open: async (limits) => memoryAnswers({ ...limits, now: () => time }),
  pass: async (milliseconds) => {
    time += milliseconds
  },
})

describe('answers in memory', () => {
  afterEach(() => vi.useRealTimers())

  it('lets go of what is over, and keeps no process alive', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const cache = memoryAnswers()
    await cache.put(randomBytes(32), randomBytes(10), 2_000)
    await cache.put(randomBytes(32), randomBytes(10), 1_000)
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(1_000)
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(1_000)
    // No timer means that nothing is kept any more.
    expect(vi.getTimerCount()).toBe(0)
    await cache.put(randomBytes(32), randomBytes(10), 1_000)
    await cache.close()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('takes no limits that contradict one another', () => {
    for (const limits of [
      { answerBytes: -1 },
      { totalBytes: 0.5 },
      { answerBytes: 10, totalBytes: 10 + ENTRY_BYTES - 1 },
    ])
      expect(() => memoryAnswers(limits)).toThrow(code('INVARIANT'))
  })
})

const { TEST_REDIS_URL } = process.env
const servers = [
  { name: 'embedded', redisUrl: undefined },
  ...(TEST_REDIS_URL === undefined ? [] : [{ name: 'TEST_REDIS_URL', redisUrl: TEST_REDIS_URL }]),
]

describe.each(servers)('answers in Redis ($name; set TEST_REDIS_URL to add a real one)', ({ redisUrl }) => {
  let server: QueueServer
  let url: string
  let redis: Redis
  beforeAll(async () => {
    server = await openQueueServer({ redisUrl })
    const { host, port, password } = server.connection
    url = redisUrl ?? `redis://:${password}@${host}:${port}`
    redis = new Redis(url)
  })
  afterAll(async () => {
    await redis.quit()
    await server.close()
  })
  const prefix = () => `test-${randomBytes(6).toString('hex')}`

  answerCacheSuite({
    name: 'Redis',
    open: (limits) => redisAnswers({ url, prefix: prefix(), ...limits }),
    async pass(milliseconds) {
      const clock = async () => {
        const [seconds = 0, micros = 0] = (await redis.time()).map(Number)
        return seconds * 1_000 + micros / 1_000
      }
      const until = (await clock()) + milliseconds
      while ((await clock()) < until);
    },
  })

  it('shares answers and limits between caches of one prefix, and with no other', async () => {
    const [ours, theirs] = [prefix(), prefix()]
    const limits = { answerBytes: 100, totalBytes: 2 * (100 + ENTRY_BYTES) }
    const [one, two, other] = await Promise.all(
      [ours, ours, theirs].map((each) => redisAnswers({ redis, prefix: each, ...limits })),
    )
    const bindings = [randomBytes(32), randomBytes(32), randomBytes(32)]
    for (const [at, binding] of bindings.entries())
      await [one, two][at % 2]?.put(binding, Buffer.alloc(100, at), MINUTE)
    const held = async (cache: AnswerCache | undefined) =>
      (await Promise.all(bindings.map((binding) => cache?.get(binding)))).map((answer) => answer?.[0] ?? null)
    expect(await held(one)).toEqual([null, 1, 2])
    expect(await held(two)).toEqual([null, 1, 2])
    expect(await held(other)).toEqual([null, null, null])
  })

  it('gives every key an end', async () => {
    const name = prefix()
    const cache = await redisAnswers({ redis, prefix: name })
    await cache.put(randomBytes(32), randomBytes(10), MINUTE)
    await cache.put(randomBytes(32), randomBytes(10), 1_000)
    const keys = await redis.keys(`{${name}}*`)
    expect(keys).toHaveLength(5)
    for (const key of keys) {
      const left = await redis.pttl(key)
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(MINUTE)
    }
  })

  it.each(['order', 'sizes', 'count'])('keeps its limits when the server evicts %s', async (key) => {
    const name = prefix()
    const limits = { answerBytes: 100, totalBytes: 3 * (100 + ENTRY_BYTES) }
    const cache = await redisAnswers({ redis, prefix: name, ...limits })
    const put = async (count: number) => {
      for (let at = 0; at < count; at++) await cache.put(randomBytes(32), randomBytes(100), MINUTE)
    }
    await put(3)
    expect(await redis.del(`{${name}}:${key}`)).toBe(1)
    await put(20)
    // What was there before the eviction may stay until its time is over; it adds up to no more.
    const answers = await redis.keys(`{${name}}:a:*`)
    expect(answers.length).toBeGreaterThanOrEqual(3)
    expect(answers.length).toBeLessThanOrEqual(6)
  })

  it('is told by nobody what it keeps when a script fails', async () => {
    const name = prefix()
    await redis.set(`{${name}}:order`, 'no sorted set')
    const cache = await redisAnswers({ redis, prefix: name })
    const binding = randomBytes(32)
    const error = await cache.put(binding, Buffer.from('a sealed answer'), MINUTE).then(
      () => expect.unreachable(),
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    const shown = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })
    expect(shown).not.toContain(binding.toString('hex'))
    expect(shown).not.toContain('a sealed answer')
    await redis.del(`{${name}}:order`)
  })
})

describe('a Redis that fails', () => {
  let server: QueueServer
  let proxy: TestProxy
  let url: string
  beforeAll(async () => {
    server = await openQueueServer({ redisUrl: TEST_REDIS_URL })
    proxy = await openTestProxy(server.connection.port)
    url = `redis://:${server.connection.password ?? ''}@127.0.0.1:${proxy.port}`
  })
  afterAll(async () => {
    await proxy.close()
    await server.close()
  })

  it('says so where nothing listens, without the password', async () => {
    await proxy.cut()
    const error = await redisAnswers({ url: `redis://:hunter2@127.0.0.1:${proxy.port}` }).then(
      () => expect.unreachable(),
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
      details: { reason: 'ECONNREFUSED' },
    })
    expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('hunter2')
    await proxy.mend()
  })

  it('says so when it is refused', async () => {
    const embedded = await openQueueServer()
    await expect(
      redisAnswers({ url: `redis://:wrong@127.0.0.1:${embedded.connection.port}` }),
    ).rejects.toThrow(code('STORE_REFUSED'))
    await embedded.close()
  })

  it.each(['mysql://localhost', 'localhost', 'redis://'])('takes no URL like %s', async (other) => {
    await expect(redisAnswers({ url: other })).rejects.toThrow(code('INVALID_INPUT'))
  })

  it('tells a connection that broke while it was asked, and works again when it is back', async () => {
    const prefix = `test-${randomBytes(6).toString('hex')}`
    const cache = await redisAnswers({ url, prefix })
    const [kept, lost] = [randomBytes(32), randomBytes(32)]
    await cache.put(kept, Buffer.from('kept'), MINUTE)
    const cut = proxy.cutAtAnswer()
    await expect(cache.put(lost, Buffer.from('lost'), MINUTE)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await cut
    await expect(cache.get(kept)).rejects.toThrow(code('STORE_UNAVAILABLE'))
    await expect(cache.put(lost, Buffer.from('lost'), MINUTE)).rejects.toThrow(code('STORE_UNAVAILABLE'))

    await proxy.mend()
    // It comes back by itself; until then every question is answered with the failure, and none waits.
    const answer = await vi.waitFor(() => cache.get(kept), { timeout: 30_000 })
    expect(Buffer.from(answer ?? []).toString()).toBe('kept')
    await cache.close()
  })
})
