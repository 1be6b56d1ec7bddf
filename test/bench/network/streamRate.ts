import { type Result, result, summarise } from '../measure.ts'
import type { Streamed } from './client.ts'
import type { BenchNetwork } from './openNetwork.ts'
import type { Script } from './upstream.ts'

const PACED: Script = { kind: 'paced', tokens: 4_000 }
const FAST: Script = { kind: 'fast', tokens: 60_000 }
const FAST_ROUNDS = 5

/** Tokens a second of a long stream, against the same stream from the same upstream directly. */
export async function benchStreamRate({ client, upstream }: BenchNetwork): Promise<Result[]> {
  const stream = async (script: Script, url?: string) => {
    const { tokens, milliseconds } = await client.call<Streamed>('stream', { script, url })
    return (tokens / milliseconds) * 1_000
  }
  await client.call('buy', 64)
  // At the same time: they take no more of the machine than is there.
  const [ours, theirs] = await Promise.all([stream(PACED), stream(PACED, upstream.url)])
  const fast = { ours: [] as number[], theirs: [] as number[] }
  for (let round = 0; round <= FAST_ROUNDS; round += 1) {
    const path = await stream(FAST)
    const direct = await stream(FAST, upstream.url)
    // The first warms up.
    if (round === 0) continue
    fast.ours.push(path)
    fast.theirs.push(direct)
  }
  const common = { floor: 'the upstream directly', unit: 'per second' } as const
  return [
    result({ ...common, name: 'tokens at 1,000 a second', ours, theirs, goal: 'ratio at least 0.99' }),
    result({
      ...common,
      name: 'tokens as fast as they come',
      ours: summarise(fast.ours).p50,
      theirs: summarise(fast.theirs).p50,
      goal: 'ratio at least 0.5',
    }),
  ]
}
