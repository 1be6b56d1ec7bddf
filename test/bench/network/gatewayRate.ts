import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { exportIdentityKey, generateIdentity } from '../../../infra/inference/protocol/network/identity.ts'
import { type Result, result } from '../measure.ts'
import { orders } from './standIns.ts'
import { closeAll, type Process, startProcess } from './startProcess.ts'

/** So many until the code is compiled, and two thirds of them cost more than those that follow. */
const WARM_UP = 5_000
const ROUNDS = 5
const PER_ROUND = 600
const CONNECTIONS = 64
const IN_ALL = WARM_UP + ROUNDS * PER_ROUND

/**
 * Requests a second of one core of a gateway: four tokens verified and spent durably, the request opened, the node
 * authorized, its receipt verified, the answer sealed. By the CPU time of all the gateway's threads, so that it is per
 * core whoever else is at work.
 *
 * The floor is what no gateway can do without, in one process: plain HTTP in and out, four PSS verifications, one
 * append that shares its fdatasync. It opens and seals nothing, settles nothing, signs nothing.
 */
export async function benchGatewayRate(folder: string): Promise<Result[]> {
  const opened: Process[] = []
  const keep = async (starting: Promise<Process>) => {
    const part = await starting
    opened.push(part)
    return part
  }
  try {
    const identity = generateIdentity()
    const nodeIdentity = generateIdentity()
    const load = await keep(startProcess('load', undefined))
    const node = await keep(
      startProcess('answeringNode', {
        identity: exportIdentityKey(nodeIdentity),
        pace: { atOnce: 0, piece: 1, every: 1_000 },
      }),
    )
    const start = async (name: string) => {
      await mkdir(join(folder, name), { recursive: true })
      return keep(
        startProcess('gateway', {
          folder: join(folder, name),
          identity: exportIdentityKey(identity),
          mint: load.url,
          node: { url: node.url, identity: nodeIdentity.identity.text },
        }),
      )
    }
    // Two of one name with a memory each: a token is spent at both, and each has its own half of the work.
    const withoutChange = await start('without-change')
    const withChange = await start('with-change')
    await load.call('pay', IN_ALL)
    const payDesk = await keep(
      startProcess('payDesk', {
        node: node.url,
        log: join(folder, 'pay-desk.log'),
        mintKey: await load.call<Uint8Array>('mintKey'),
        inner: await load.call<{ at: number; length: number }>('inner'),
      }),
    )
    const contests = [
      { batch: 'without change', process: withoutChange, order: orders.answerAll },
      { batch: 'with change', process: withChange, order: orders.answerOne },
      { batch: 'floor', process: payDesk, order: orders.answerAll },
    ] as const
    for (const { batch, process, order } of contests)
      await load.call('seal', {
        name: batch,
        count: IN_ALL,
        path: '/ohttp',
        from: 0,
        order,
        ...(process === payDesk ? {} : { gateway: { url: process.url, identity: identity.identity.text } }),
      })

    const cpu = new Map<string, number>()
    for (let round = 0; round <= ROUNDS; round += 1)
      for (const { batch, process } of contests) {
        const before = await process.usage()
        const count = round === 0 ? WARM_UP : PER_ROUND
        await load.call('send', { batch, url: process.url, count, connections: CONNECTIONS })
        const after = await process.usage()
        if (round > 0) cpu.set(batch, (cpu.get(batch) ?? 0) + after.cpu - before.cpu)
      }
    /** Microseconds of all rounds to requests a second. */
    const rate = (batch: string) => (ROUNDS * PER_ROUND * 1e6) / (cpu.get(batch) ?? Number.NaN)
    const common = {
      floor: 'HTTP, PSS and an append alone',
      unit: 'per second',
      theirs: rate('floor'),
    } as const
    return [
      result({
        ...common,
        name: 'gateway requests a core, no change due',
        ours: rate('without change'),
        goal: 'at least 2,500 per second',
      }),
      result({
        ...common,
        name: 'gateway requests a core, three tokens of change',
        ours: rate('with change'),
      }),
    ]
  } finally {
    await closeAll(opened)
  }
}
