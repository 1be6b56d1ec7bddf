import { Queue } from 'bullmq'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openQueueServer, type QueueServer } from '../../infra/queue/openQueueServer.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { createEngine, dollars, type Engine } from '../../test/engine/engine.fixture.ts'
import { memoryJournals } from '../../test/twins/memoryJournal.ts'
import { RialtoError } from '../core/errors.ts'
import { LeaseHeldError, PlanStaleError } from '../stages/errors.ts'
import type { Runtime } from '../stages/runtime.ts'
import { RUNS_QUEUE } from './jobs.ts'
import { type Live, startLive } from './startLive.ts'

const HUNGRY = dollars(1_750)

const servers = [
  { name: 'the embedded queue', redisUrl: undefined },
  // Only where a Redis was named: nothing else can stand in for it.
  ...(process.env.TEST_REDIS_URL === undefined
    ? []
    : [{ name: 'Redis', redisUrl: process.env.TEST_REDIS_URL }]),
]

describe.each(servers)('the live engine on $name', ({ redisUrl }) => {
  let world: World
  let server: QueueServer
  let open: Live[] = []
  let prefixes = 0
  beforeAll(async () => {
    ;[world, server] = await Promise.all([startWorld(), openQueueServer({ redisUrl })])
  })
  afterEach(async () => {
    await Promise.all(open.map((live) => live.close()))
    open = []
  })
  afterAll(async () => {
    await server.close()
    await world.stop()
  })

  async function start(
    engine: Engine,
    runtime: Runtime = engine.runtime,
    prefix = `test-${process.pid}-${++prefixes}`,
  ) {
    const live = await startLive({ runtime, agents: [engine.agent], connection: server.connection, prefix })
    open.push(live)
    return { live, prefix }
  }

  it('decides, executes and settles block by block', async () => {
    const engine = await createEngine(world)
    const { live } = await start(engine)
    await live.processHead(await engine.moveTo(HUNGRY))
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'broadcast' }])
    await live.processHead(await engine.mine())
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'confirmed' }])
    expect(await engine.runtime.journal.runs()).toHaveLength(2)
  })

  it('wakes an agent once for a block, however often the block is announced', async () => {
    const engine = await createEngine(world)
    const { live, prefix } = await start(engine)
    const head = await engine.moveTo(HUNGRY)
    await Promise.all([live.processHead(head), live.processHead(head)])
    await live.processHead(head)
    const queue = new Queue(RUNS_QUEUE, { connection: server.connection, prefix })
    expect(await queue.getCompletedCount()).toBe(1)
    await queue.close()
    expect(await engine.runtime.journal.attempts()).toHaveLength(1)
  })

  it('two processes share an account without doing anything twice', async () => {
    const engine = await createEngine(world)
    const { live, prefix } = await start(engine)
    const { live: other } = await start(engine, engine.runtime, prefix)
    const head = await engine.moveTo(HUNGRY)
    await Promise.all([live.processHead(head), other.processHead(head)])
    const next = await engine.mine()
    await Promise.all([live.processHead(next), other.processHead(next)])
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'confirmed' }])
  })

  it('goes on from the journal alone when the queue has lost everything', async () => {
    const engine = await createEngine(world)
    const broken = engine.with({
      journal: {
        ...engine.runtime.journal,
        acquireLease: async () => null,
      },
    })
    const head = await engine.moveTo(HUNGRY)
    const { live } = await start(engine, broken)
    await live.processHead(head)
    expect(await engine.runtime.journal.openIntents()).toHaveLength(1)
    await live.close()
    open = []
    // Another prefix is an empty queue: what is left is in the journal.
    const { live: successor } = await start(engine)
    expect(await successor.recover(head)).toEqual([expect.stringMatching(/: signed, now broadcast$/)])
    expect(await engine.runtime.journal.attempts()).toMatchObject([{ status: 'broadcast' }])
  })

  it('takes up, from the signer alone, what a journal lost that was thrown back, and says so', async () => {
    const engine = await createEngine(world)
    const { live } = await start(engine)
    const before = await engine.mine()
    expect(await live.recover(before)).toEqual([])
    await live.processHead(await engine.moveTo(HUNGRY))
    const [lost] = await engine.runtime.journal.attempts()
    await live.close()
    open = []
    const journal = await memoryJournals().open(world.chainId, world.genesisHash)
    const { live: successor } = await start(engine, engine.with({ journal }))
    expect(await successor.recover(await engine.mine())).toEqual([
      `${lost?.id} on nonce ${lost?.nonce} of ${lost?.account}: lost by the journal and taken up from the signer’s ledger, now confirmed`,
    ])
    expect(await successor.recover(await engine.mine())).toEqual([])
    expect(await journal.inFlight()).toEqual([])
  })

  it('tries again what may pass, and only that', async () => {
    const failing = async (error: Error) => {
      const engine = await createEngine(world)
      let tries = 0
      const runtime = engine.with({
        journal: {
          ...engine.runtime.journal,
          acquireLease: async () => {
            tries += 1
            throw error
          },
        },
      })
      const { live } = await start(engine, runtime)
      await live.processHead(await engine.moveTo(HUNGRY))
      expect(engine.logger.lines.filter(({ message }) => message === 'job failed')).toHaveLength(1)
      return tries
    }
    expect(await failing(new LeaseHeldError('0x0000000000000000000000000000000000000001'))).toBe(3)
    expect(await failing(new PlanStaleError('x' as never, 'a test says so'))).toBe(3)
    expect(await failing(new TypeError('a defect'))).toBe(1)
  })

  it('gives up when the journal has no room to record anything', async () => {
    const engine = await createEngine(world)
    const runtime = engine.with({
      journal: {
        ...engine.runtime.journal,
        startRun: async () => {
          throw new RialtoError('DISK_FULL', 'There is no space left on the disk.', { fix: 'Free some.' })
        },
      },
    })
    const { live } = await start(engine, runtime)
    await expect(live.processHead(await engine.mine())).rejects.toMatchObject({ code: 'DISK_FULL' })
  })

  it('records a run that failed, and runs it again when it is asked to', async () => {
    const engine = await createEngine(world)
    let broken = true
    const { agent, runtime } = engine
    const moody: Engine = {
      ...engine,
      agent: {
        ...agent,
        analyse: async (snapshot, context) => {
          if (broken) throw new TypeError('a defect')
          return agent.analyse(snapshot, context)
        },
      },
    }
    const head = await engine.moveTo(HUNGRY)
    const { live } = await start(moody)
    await live.processHead(head)
    expect(await runtime.journal.runs()).toMatchObject([{ status: 'failed' }])
    broken = false
    const { live: successor } = await start(moody)
    await successor.processHead(head)
    expect(await runtime.journal.runs()).toMatchObject([{ status: 'decided' }])
    expect(await runtime.journal.attempts()).toHaveLength(1)
  })
})
