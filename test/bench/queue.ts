import { Queue, QueueEvents, Worker } from 'bullmq'
import { startEngine } from '../../infra/compose.ts'
import { createAgent } from '../../infra/createAgent.ts'
import { BLOCK_SECONDS } from '../../infra/world/world.ts'
import { agentId } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { type Result, result, timed } from './measure.ts'
import type { Scene } from './scene.ts'

const RUNS = 200

/**
 * Quiet runs a second through the queue, each with its reads at a block hash and its record in the journal.
 *
 * The floor is BullMQ alone: the same number of jobs that do nothing, added, worked and waited for in the same way.
 */
export async function benchQueue(scene: Scene, where: string): Promise<Result> {
  const { actors, chain, services, policy } = scene
  const heads: BlockRef[] = []
  for (let index = 0; index < RUNS; index += 1) {
    await actors.mineBlock()
    heads.push(await chain.head())
  }
  const label = scene.labels.at(-1) ?? ''
  const agent = createAgent({
    config: {
      id: agentId('quiet'),
      role: 'lending-guardian',
      policy,
    },
    account: scene.signer.addressOf(label),
    book: scene.world.addressBook,
    model: null,
    checkpointer: services.checkpointer,
    blockSeconds: BLOCK_SECONDS,
    users: [],
  })
  const quiet = {
    ...agent,
    analyse: async () => ({
      proposal: { kind: 'nothing' as const, expiresAtBlock: 0n },
      reason: 'quiet',
      source: 'quiet' as const,
      fallbackReason: null,
      candidates: 0,
      inferenceCalls: 0,
      model: null,
    }),
  }
  const { live } = await startEngine({
    ...scene,
    book: scene.world.addressBook,
    blockSeconds: BLOCK_SECONDS,
    agents: [{ agent: quiet, policy }],
  })
  await live.processHead(await chain.head())
  const ours = await timed(() => Promise.all(heads.slice(0, -1).map((head) => live.processHead(head))))
  await live.close()

  const { connection } = services.queue
  const queue = new Queue('bench', { connection })
  // Each job that is waited for listens to the queue's end.
  queue.setMaxListeners(RUNS + 10)
  const events = new QueueEvents('bench', { connection })
  const worker = new Worker('bench', async () => null, { connection, concurrency: 1 })
  await Promise.all([events.waitUntilReady(), worker.waitUntilReady()])
  const one = async (index: number) => {
    const job = await queue.add(
      'run',
      { index },
      { jobId: `run.${index}`, removeOnComplete: { count: RUNS } },
    )
    await job.waitUntilFinished(events)
  }
  await one(-1)
  const theirs = await timed(() => Promise.all(heads.slice(0, -1).map((_, index) => one(index))))
  await Promise.all([worker.close(), events.close(), queue.close()])

  const perSecond = (milliseconds: number) => ((RUNS - 1) / milliseconds) * 1_000
  return result({
    name: `runs through the queue (${where})`,
    floor: 'raw BullMQ',
    unit: 'per second',
    ours: perSecond(ours),
    theirs: perSecond(theirs),
  })
}
