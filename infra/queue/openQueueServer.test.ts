import { randomUUID } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { type Job, Queue, QueueEvents, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { checkRedis } from './checkRedis.ts'
import { openQueueServer, type QueueServer } from './openQueueServer.ts'

const { TEST_REDIS_URL } = process.env

const servers = [
  { name: 'embedded', redisUrl: undefined },
  ...(TEST_REDIS_URL === undefined ? [] : [{ name: 'TEST_REDIS_URL', redisUrl: TEST_REDIS_URL }]),
]

describe.each(servers)(
  'BullMQ on the queue server ($name; set TEST_REDIS_URL to add a real Redis)',
  ({ redisUrl }) => {
    let server: QueueServer
    const open: { close(): Promise<void> }[] = []
    const opened = <T extends { close(): Promise<void> }>(part: T): T => {
      open.unshift(part)
      return part
    }
    beforeAll(async () => {
      server = await openQueueServer({ redisUrl })
    })
    afterEach(async () => {
      for (const part of open.splice(0)) await part.close()
    })
    afterAll(() => server.close())

    async function queueWith(process: (job: Job) => Promise<unknown>) {
      const name = `test-${randomUUID()}`
      const { connection } = server
      const queue = opened(new Queue(name, { connection }))
      const events = opened(new QueueEvents(name, { connection }))
      const worker = opened(new Worker(name, process, { connection, concurrency: 4 }))
      await Promise.all([events.waitUntilReady(), worker.waitUntilReady()])
      return { queue, events, worker }
    }

    it('adds and processes jobs', async () => {
      const { queue, events } = await queueWith(async (job) => job.data.n * 2)
      const jobs = await queue.addBulk([1, 2, 3].map((n) => ({ name: 'double', data: { n } })))
      expect(await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))).toEqual([2, 4, 6])
    })

    it('tries a failed job again, as often as it says', async () => {
      let tries = 0
      const { queue, events } = await queueWith(async () => {
        tries += 1
        if (tries < 3) throw new RangeError('not yet')
        return tries
      })
      const job = await queue.add('retry', {}, { attempts: 3, backoff: { type: 'fixed', delay: 1 } })
      expect(await job.waitUntilFinished(events)).toBe(3)
    })

    it('gives up when the tries are used up, and says why', async () => {
      const { queue, events } = await queueWith(async () => {
        throw new RangeError('never')
      })
      const job = await queue.add('fail', {}, { attempts: 2 })
      await expect(job.waitUntilFinished(events)).rejects.toThrow('never')
      expect(await queue.getJobCounts('failed', 'waiting', 'active')).toEqual({
        failed: 1,
        waiting: 0,
        active: 0,
      })
    })

    it('holds a delayed job back for its time', async () => {
      const { queue, events } = await queueWith(async () => Date.now())
      const before = Date.now()
      const job = await queue.add('later', {}, { delay: 150 })
      expect((await job.waitUntilFinished(events)) - before).toBeGreaterThanOrEqual(149)
    })

    it('takes a job id once', async () => {
      const seen: unknown[] = []
      const { queue, events } = await queueWith(async (job) => void seen.push(job.data))
      const first = await queue.add('run', { n: 1 }, { jobId: 'guardian.0xabc' })
      await queue.add('run', { n: 2 }, { jobId: 'guardian.0xabc' })
      await first.waitUntilFinished(events)
      await queue.add('run', { n: 3 }, { jobId: 'guardian.0xabc' })
      expect(await queue.getJobCounts('completed', 'waiting', 'active')).toMatchObject({
        completed: 1,
        waiting: 0,
      })
      expect(seen).toEqual([{ n: 1 }])
    })

    it('keeps a queue to one job at a time when told so', async () => {
      let running = 0
      let most = 0
      const { queue, events } = await queueWith(async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
      })
      await queue.setGlobalConcurrency(1)
      const jobs = await queue.addBulk(Array.from({ length: 8 }, (_, n) => ({ name: 'serial', data: { n } })))
      await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))
      expect(most).toBe(1)
    })
  },
)

describe('the embedded queue server', () => {
  it('lets no one in without its password', async () => {
    const server = await openQueueServer()
    const { host, port } = server.connection
    const stranger = new Redis({ host, port, maxRetriesPerRequest: 0, retryStrategy: () => null })
    stranger.on('error', () => {})
    await expect(stranger.set('a', '1')).rejects.toThrow(/NOAUTH/)
    stranger.disconnect()
    await server.close()
  })

  it('answers at once, not at the next tick of its timer', async () => {
    const server = await openQueueServer()
    const client = new Redis({ ...server.connection })
    await client.ping()
    // A hundred commands, each waiting for the last: with its own stepping the library takes ten seconds for these.
    // Half of the test's time-out would be enough to tell the two apart, so this is no measurement.
    for (let n = 0; n < 100; n += 1) await client.set('n', n)
    expect(await client.get('n')).toBe('99')
    client.disconnect()
    await server.close()
  }, 5_000)

  it('frees its port when it is closed', async () => {
    const server = await openQueueServer()
    await server.close()
    await expect(checkRedis(server.connection, server.where)).rejects.toMatchObject({
      code: 'QUEUE_UNREACHABLE',
    })
  })

  it('runs beside another of its kind', async () => {
    const [one, other] = await Promise.all([openQueueServer(), openQueueServer()])
    expect(one.connection.port).not.toBe(other.connection.port)
    await Promise.all([one.close(), other.close()])
  })
})

describe('a REDIS_URL of no use is one clear line', () => {
  const PASSWORD = 'hunter2'
  const fakes: Server[] = []
  const sockets = new Set<Socket>()
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    for (const fake of fakes.splice(0)) fake.close()
  })

  /** A server that answers each command by its name. */
  async function fake(answer: (command: string) => string): Promise<string> {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => sockets.delete(socket))
      socket.on('data', (data) => {
        for (const [, command = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g))
          socket.write(answer(command.toUpperCase()))
      })
    })
    fakes.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    return `redis://:${PASSWORD}@127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }
  const info = (...lines: string[]): string => {
    const text = lines.join('\r\n')
    return `$${text.length}\r\n${text}\r\n`
  }
  const redis =
    (answers: Record<string, string>) =>
    (command: string): string =>
      answers[command] ?? '+OK\r\n'

  async function lineOf(redisUrl: string): Promise<{ code: string; line: string }> {
    const error = await openQueueServer({ redisUrl }).then(
      () => null,
      (thrown) => thrown,
    )
    expect(error, 'it must be refused').not.toBeNull()
    const line: string = error.toLine()
    expect(line).not.toContain(PASSWORD)
    expect(line).not.toContain('\n')
    return { code: error.code, line }
  }

  it.each([
    ['QUEUE_TOO_OLD', { INFO: info('redis_version:6.0.16') }],
    ['QUEUE_CLUSTER', { INFO: info('redis_version:7.2.0', 'cluster_enabled:1') }],
    [
      'QUEUE_READ_ONLY',
      {
        INFO: info('redis_version:7.2.0'),
        EVAL: "-READONLY You can't write against a read only replica.\r\n",
      },
    ],
    [
      'QUEUE_PERMISSION',
      {
        INFO: info('redis_version:7.2.0'),
        EVAL: "-NOPERM this user has no permissions to run the 'eval' command\r\n",
      },
    ],
    [
      'QUEUE_LOGIN',
      { AUTH: '-WRONGPASS invalid username-password pair\r\n', INFO: '-NOAUTH Authentication required.\r\n' },
    ],
    ['QUEUE_NOT_REDIS', { INFO: info('hello:world') }],
  ])('%s', async (code, answers) => {
    expect(await lineOf(await fake(redis(answers as Record<string, string>)))).toMatchObject({ code })
  })

  it('QUEUE_NOT_REDIS, from something that speaks HTTP', async () => {
    const url = await fake(() => 'HTTP/1.1 400 Bad Request\r\n\r\n')
    expect(await lineOf(url)).toMatchObject({ code: 'QUEUE_NOT_REDIS' })
  })

  it('QUEUE_UNREACHABLE, where nothing listens', async () => {
    const url = await fake(() => '')
    await new Promise((resolve) => fakes.splice(0)[0]?.close(resolve))
    expect(await lineOf(url)).toMatchObject({
      code: 'QUEUE_UNREACHABLE',
      line: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('QUEUE_UNREACHABLE, from something that is silent', async () => {
    const { hostname: host, port } = new URL(await fake(() => ''))
    const connection = { host, port: Number(port), maxRetriesPerRequest: null }
    await expect(checkRedis(connection, 'there', 50)).rejects.toMatchObject({ code: 'QUEUE_UNREACHABLE' })
  })

  it('QUEUE_LOGIN, from a real server with another password', async () => {
    const server = await openQueueServer()
    const { host, port } = server.connection
    expect(await lineOf(`redis://:${PASSWORD}@${host}:${port}`)).toMatchObject({ code: 'QUEUE_LOGIN' })
    expect(await lineOf(`redis://${host}:${port}`)).toMatchObject({ code: 'QUEUE_LOGIN' })
    await server.close()
  })

  it.each(['http://localhost:6379', 'localhost:6379', 'redis://', `redis://:${PASSWORD}@h:1/two`, ''])(
    'INVALID_INPUT for "%s"',
    async (url) => {
      expect(await lineOf(url)).toMatchObject({ code: 'INVALID_INPUT' })
    },
  )

  it('takes a server that evicts, and says what to change', async () => {
    const url = await fake(redis({ INFO: info('redis_version:7.2.0', 'maxmemory_policy:allkeys-lru') }))
    const server = await openQueueServer({ redisUrl: url })
    expect(server.notes).toEqual([expect.stringContaining('noeviction')])
    await server.close()
  })
})
