import { type Result, result, summarise } from '../measure.ts'
import type { FirstTokens } from './client.ts'
import type { BenchNetwork } from './openNetwork.ts'

const ROUNDS = 300
const WARM_UP = 300

/**
 * Time to the first token that the whole path adds: relay, gateway and node, both encapsulations, four tokens paid
 * and three returned, nullifiers and wallet on the disk, cadence off.
 *
 * What is added is over the median of asking the same upstream directly over a kept connection. The floor is what
 * three plain reverse proxies in processes of their own add.
 */
export async function benchFirstToken({ client, upstream, hops }: BenchNetwork): Promise<Result[]> {
  // Each request costs one token of the four that it pays.
  for (const count of [256, 256, 256]) await client.call('buy', count)
  const times = await client.call<FirstTokens>('firstTokens', {
    direct: upstream.url,
    hops: hops.url,
    warmUp: WARM_UP,
    rounds: ROUNDS,
  })
  const direct = summarise(times.direct).p50
  const added = (all: readonly number[]) => summarise(all.map((each) => each - direct))
  const [ours, theirs] = [added(times.path), added(times.hops)]
  const floor = 'three plain proxies'
  return [
    result({
      name: 'time to first token added by the path, p50',
      floor,
      unit: 'ms',
      ours: ours.p50,
      theirs: theirs.p50,
      goal: 'at most 5 ms',
    }),
    result({
      name: 'time to first token added by the path, p95',
      floor,
      unit: 'ms',
      ours: ours.p95,
      theirs: theirs.p95,
      goal: 'at most 10 ms',
    }),
  ]
}
