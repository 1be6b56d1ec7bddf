import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openQueueServer, type QueueServer } from '../../infra/queue/openQueueServer.ts'
import { DatabaseUnreachableError } from '../../infra/store/errors.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { createEngine, dollars, type Engine } from '../../test/engine/engine.fixture.ts'
import { agentId } from '../core/ids.ts'
import type { Runtime } from '../stages/runtime.ts'
import { type Live, startLive } from './startLive.ts'

const HUNGRY = dollars(1_750)

/** A way to a server that can be cut, or go silent with all its connections open, as a host that hangs does. */
async function openLine(target: { host: string; port: number }) {
  const sockets = new Set<Socket>()
  let silent = false
  const server = createServer((near) => {
    const far = connect(target)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk) => void (silent || to.write(chunk)))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    silence: () => {
      silent = true
    },
    restore: () => {
      silent = false
      cut()
    },
    async close() {
      server.close()
      cut()
    },
  }
}

describe('when the queue is lost, protection goes on', () => {
  let world: World
  let server: QueueServer
  let prefixes = 0
  const closers: (() => Promise<void>)[] = []
  beforeAll(async () => {
    ;[world, server] = await Promise.all([startWorld(), openQueueServer()])
  })
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(async () => {
    await server.close()
    await world.stop()
  })

  async function start(engine: Engine, runtime: Runtime = engine.runtime) {
    const line = await openLine(server.connection)
    closers.push(line.close)
    const prefix = `loss-${process.pid}-${++prefixes}`
    const live: Live = await startLive({
      runtime,
      agents: [engine.agent],
      connection: { ...server.connection, host: '127.0.0.1', port: line.port },
      prefix,
    })
    closers.push(live.close)
    return { live, line, prefix }
  }

  it.each(['silence', 'close'] as const)('by a server that ends in %s, and is back later', async (way) => {
    const engine = await createEngine(world)
    const { live, line } = await start(engine)
    await live.processHead(await engine.mine())
    await line[way]()
    await live.processHead(await engine.moveTo(HUNGRY))
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'broadcast' }])
    await live.processHead(await engine.mine())
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'confirmed' }])
    expect(engine.logger.lines.map(({ message }) => message)).toContain('queue lost: done without it')
    if (way === 'silence') line.restore()
  })

  it('by a server that forgets a job while it is done', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    let forget = true
    const forgetting = engine.with({
      journal: {
        ...runtime.journal,
        startRun: async (run) => {
          if (forget) {
            forget = false
            const redis = new Redis(server.connection)
            await redis.flushall()
            await redis.quit()
          }
          return runtime.journal.startRun(run)
        },
      },
    })
    const { live } = await start(engine, forgetting)
    await live.processHead(await engine.moveTo(HUNGRY))
    expect(await runtime.journal.attempts()).toMatchObject([{ status: 'broadcast' }])
  })

  it('and nothing is done twice where the job was done after all', async () => {
    const engine = await createEngine(world)
    let line: Awaited<ReturnType<typeof start>>['line'] | undefined
    const { runtime } = engine
    // The worker has taken the job when its server falls silent: the job's end is never told.
    const cutOff = engine.with({
      journal: {
        ...runtime.journal,
        decide: async (...decision) => {
          line?.silence()
          return runtime.journal.decide(...decision)
        },
      },
    })
    const started = await start(engine, cutOff)
    line = started.line
    const head = await engine.moveTo(HUNGRY)
    await started.live.processHead(head)
    await started.live.processHead(head)
    expect(await runtime.journal.runs()).toHaveLength(1)
    expect(await runtime.journal.attempts()).toHaveLength(1)
    line.restore()
  })
})

describe('the rest of the house', () => {
  let world: World
  let server: QueueServer
  beforeAll(async () => {
    ;[world, server] = await Promise.all([startWorld(), openQueueServer()])
  })
  afterAll(async () => {
    await server.close()
    await world.stop()
  })
  const start = (engine: Engine, runtime: Runtime, prefix: string) =>
    startLive({ runtime, agents: [engine.agent], connection: server.connection, prefix })

  it('goes on when the journal fails for a moment, and gives up when it keeps failing', async () => {
    const engine = await createEngine(world)
    const { journal } = engine.runtime
    let down = true
    const openIntents = async () => {
      if (down) throw new DatabaseUnreachableError('here', 'a failover')
      return journal.openIntents()
    }
    const live = await start(engine, engine.with({ journal: { ...journal, openIntents } }), 'journal')
    for (let heads = 0; heads < 5; heads += 1) await live.processHead(await engine.mine())
    await expect(live.processHead(await engine.mine())).rejects.toThrow(DatabaseUnreachableError)
    down = false
    await live.processHead(await engine.moveTo(HUNGRY))
    expect(await journal.attempts()).toMatchObject([{ status: 'broadcast' }])
    await live.close()
  })

  it('survives a run that failed before the journal had it', async () => {
    const engine = await createEngine(world)
    const { journal } = engine.runtime
    const startRun = async () => {
      throw new TypeError('a defect')
    }
    const live = await start(engine, engine.with({ journal: { ...journal, startRun } }), 'startRun')
    await live.processHead(await engine.mine())
    expect(engine.logger.lines.map(({ message }) => message)).toContain('job failed')
    await live.close()
  })

  it('leaves what an agent wanted that is no longer configured to expire', async () => {
    const engine = await createEngine(world)
    const { runtime } = engine
    const { journal } = runtime
    const head = await engine.moveTo(HUNGRY)
    // It decided, and was renamed before it could act.
    const idle = await start(
      engine,
      engine.with({ journal: { ...journal, acquireLease: async () => null } }),
      'old',
    )
    await idle.processHead(head)
    await idle.close()
    const renamed: Engine = { ...engine, agent: { ...engine.agent, id: agentId('another-name') } }
    const live = await start(renamed, runtime, 'new')
    await live.recover(head)
    expect(await journal.openIntents()).toHaveLength(1)
    await live.recover({ ...head, number: head.number + 100n })
    expect(await journal.openIntents()).toEqual([])
    await live.close()
  })
})
