import { routes } from '../../../infra/inference/protocol/network/routes.ts'
import { sealedRequestLength } from '../../../infra/inference/protocol/network/sizes.ts'
import { type Result, result, summarise } from '../measure.ts'
import { names } from './names.ts'
import { closeAll, type Process, startProcess } from './startProcess.ts'

const ROUNDS = 14
const PER_ROUND = 2_500
const CONNECTIONS = 64
/** A paid request, sealed. */
const LENGTH = sealedRequestLength(16_384)

/** A relay and a plain reverse proxy on the same route, in front of the same gateway that answers at once. */
export async function benchRelayRate(): Promise<Result[]> {
  const opened: Process[] = []
  const keep = async (starting: Promise<Process>) => {
    const part = await starting
    opened.push(part)
    return part
  }
  try {
    const load = await keep(startProcess('load', undefined))
    const gateway = await keep(startProcess('answeringGateway', undefined))
    const relay = await keep(startProcess('relay', { gateway: gateway.url }))
    const proxy = await keep(startProcess('proxy', { target: gateway.url }))
    const figures = {
      relay: { cpu: [] as number[], wall: [] as number[] },
      proxy: { cpu: [] as number[], wall: [] as number[] },
    }
    for (let round = 0; round < ROUNDS; round += 1)
      for (const [name, process] of [
        ['relay', relay],
        ['proxy', proxy],
      ] as const) {
        const before = await process.usage()
        const elapsed = await load.call<number>('repeat', {
          url: process.url,
          path: routes.relay.gateway(names.gateway),
          length: LENGTH,
          count: PER_ROUND,
          connections: CONNECTIONS,
        })
        const after = await process.usage()
        // The first two warm up.
        if (round < 2) continue
        figures[name].cpu.push((PER_ROUND * 1e6) / (after.cpu - before.cpu))
        figures[name].wall.push((PER_ROUND * 1e3) / elapsed)
      }
    const common = {
      floor: 'a plain reverse proxy',
      unit: 'per second',
      goal: 'ratio at least 0.95',
    } as const
    const median = (all: readonly number[]) => summarise(all).p50
    return [
      result({
        ...common,
        name: 'relay requests a core',
        ours: median(figures.relay.cpu),
        theirs: median(figures.proxy.cpu),
      }),
      result({
        ...common,
        name: 'relay requests on the clock',
        ours: median(figures.relay.wall),
        theirs: median(figures.proxy.wall),
      }),
    ]
  } finally {
    await closeAll(opened)
  }
}
