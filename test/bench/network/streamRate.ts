import { type Result, result, summarise } from '../measure.ts'
import type { Streamed } from './client.ts'
import type { BenchNetwork } from './openNetwork.ts'
import type { Script } from './upstream.ts'

const PACED: Script = { kind: 'paced', tokens: 4_000 }
const FAST: Script = { kind: 'fast', tokens: 40_000 }
const BULK: Script = { kind: 'bulk', tokens: 150_000 }
const ROUNDS = 5

/** Tokens a second of a long stream, against the same stream from the same upstream directly. */
export async function benchStreamRate({ client, upstream }: BenchNetwork): Promise<Result[]> {
  const stream = async (script: Script, url?: string) => {
    const { tokens, milliseconds } = await client.call<Streamed>('stream', { script, url })
    return (tokens / milliseconds) * 1_000
  }
  /** In turn; the first round warms up. */
  const race = async (script: Script) => {
    const rates = { ours: [] as number[], theirs: [] as number[] }
    for (let round = 0; round <= ROUNDS; round += 1) {
      const path = await stream(script)
      const direct = await stream(script, upstream.url)
      if (round === 0) continue
      rates.ours.push(path)
      rates.theirs.push(direct)
    }
    return { ours: summarise(rates.ours).p50, theirs: summarise(rates.theirs).p50 }
  }
  await client.call('buy', 64)
  // At the same time: they take no more of the machine than is there.
  const [ours, theirs] = await Promise.all([stream(PACED), stream(PACED, upstream.url)])
  const common = { floor: 'the upstream directly', unit: 'per second' } as const
  return [
    result({ ...common, name: 'tokens at 1,000 a second', ours, theirs, goal: 'ratio at least 0.99' }),
    result({
      ...common,
      ...(await race(FAST)),
      name: 'tokens as fast as they come, one by one',
      goal: 'ratio at least 0.5',
    }),
    result({
      ...common,
      ...(await race(BULK)),
      name: 'tokens as fast as they come, in bulk',
      goal: 'ratio at least 0.5',
    }),
  ]
}
