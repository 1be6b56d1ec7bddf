import { mkdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { exportIdentityKey, generateIdentity } from '../../../infra/inference/protocol/network/identity.ts'
import { routes } from '../../../infra/inference/protocol/network/routes.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { type Result, result } from '../measure.ts'
import { names } from './names.ts'
import type { Memory } from './part.ts'
import { orders } from './standIns.ts'
import { closeAll, type Process, startProcess } from './startProcess.ts'

const STREAMS = 500
/** 2.5 KiB a second, as ten tokens a second in sealed pieces are; before it, more than the gateway keeps. */
const PACE = { atOnce: 131_072, piece: 256, every: 100 }
/** What the gateway keeps of answers to give them again: used up before anything is measured. In bytes. */
const KEPT = 32 * 1_048_576
/** Milliseconds. */
const SETTLING = 5_000
const WINDOW = 8_000
const SAMPLES = 5
const STALL = 2_000

/**
 * Streams at once through one relay and one gateway: whether memory grows with what passes, whether a slow reader slows
 * others, and when one that takes nothing is cut off.
 */
export async function benchManyStreams(folder: string): Promise<Result[]> {
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
      startProcess('answeringNode', { identity: exportIdentityKey(nodeIdentity), pace: PACE }),
    )
    await mkdir(folder, { recursive: true })
    const gateway = await keep(
      startProcess(
        'gateway',
        {
          folder,
          identity: exportIdentityKey(identity),
          mint: load.url,
          node: { url: node.url, identity: nodeIdentity.identity.text },
          kept: KEPT,
        },
        ['--expose-gc'],
      ),
    )
    const relay = await keep(
      startProcess('relay', { gateway: gateway.url, readerStall: STALL }, ['--expose-gc']),
    )
    await load.call('pay', STREAMS + 2)
    const batch = {
      path: routes.relay.gateway(names.gateway),
      gateway: { url: gateway.url, identity: identity.identity.text },
    }
    await load.call('seal', { ...batch, name: 'paced', from: 0, count: STREAMS, order: orders.stream })
    await load.call('seal', { ...batch, name: 'slow', from: STREAMS, count: 1, order: orders.flood })
    await load.call('seal', { ...batch, name: 'stalled', from: STREAMS + 1, count: 1, order: orders.flood })

    const received = () => load.call<number>('received', 'paced')
    const ticks = () => node.call<number>('ticks')
    /** Bytes a second that all readers together get, by the node's own clock, and what memory did meanwhile. */
    const observe = async () => {
      const [began, before] = [await ticks(), await received()]
      const samples: { at: number; relay: Memory; gateway: Memory }[] = []
      for (let sample = 0; sample < SAMPLES; sample += 1) {
        samples.push({ at: performance.now(), relay: await relay.memory(), gateway: await gateway.memory() })
        await delay(WINDOW / SAMPLES)
      }
      const seconds = (((await ticks()) - began) * PACE.every) / 1_000
      const rate = ((await received()) - before) / seconds
      return { rate, samples }
    }

    await load.call('read', { batch: 'paced', url: relay.url, rests: 'never' })
    await delay(SETTLING)
    const alone = await observe()
    await load.call('read', { batch: 'slow', url: relay.url, rests: 100 })
    const stalledAt = performance.now()
    await load.call('read', { batch: 'stalled', url: relay.url, rests: 'for ever' })
    const cut = await cutAfter(relay.url, stalledAt)
    const beside = await observe()
    await load.call('hangUp')

    const perStream = alone.rate / STREAMS / 1_024
    const growth = (of: (sample: (typeof alone.samples)[number]) => number) =>
      slope(alone.samples.map((sample) => [sample.at / 1_000, of(sample)])) / STREAMS / 1_024
    const memory = {
      floor: 'bytes that pass',
      unit: 'KiB per stream second',
      theirs: perStream,
      goal: 'flat',
    } as const
    return [
      result({
        ...memory,
        name: `relay memory, ${STREAMS} streams`,
        ours: growth((at) => at.relay.resident),
      }),
      result({
        ...memory,
        name: `gateway memory, ${STREAMS} streams`,
        ours: growth((at) => at.gateway.resident),
      }),
      result({
        name: `${STREAMS} streams beside a slow reader`,
        floor: 'without it',
        unit: 'KiB per stream second',
        ours: beside.rate / STREAMS / 1_024,
        theirs: perStream,
        goal: 'ratio 1',
      }),
      result({
        name: 'a reader that takes nothing is cut off after',
        floor: 'the stated',
        unit: 'ms',
        ours: cut,
        theirs: STALL,
        // It is looked at once each time that is stated, and buffers are filled first.
        goal: 'ratio little over 2',
      }),
    ]
  } finally {
    await closeAll(opened)
  }
}

/** Milliseconds until the relay counts a reader that it cut off. */
async function cutAfter(url: string, since: number): Promise<number> {
  while (performance.now() - since < 20 * STALL) {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    if (/outcome="reader_stalled"\} [1-9]/.test(metrics)) return performance.now() - since
    await delay(20)
  }
  throw new InvariantError('A reader that takes nothing was not cut off.')
}

/** Of the line through points, by least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  let covariance = 0
  let variance = 0
  for (const [left, right] of points) {
    covariance += (left - x) * (right - y)
    variance += (left - x) ** 2
  }
  return covariance / variance
}
