import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Result } from '../measure.ts'
import { benchFirstToken } from './firstToken.ts'
import { benchGatewayRate } from './gatewayRate.ts'
import { benchManyStreams } from './manyStreams.ts'
import { openNetwork } from './openNetwork.ts'
import { benchRelayRate } from './relayRate.ts'
import { benchStreamRate } from './streamRate.ts'

/** The private network on loopback, each role in a process of its own, as it ships. */
export async function benchNetwork(): Promise<Result[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-bench-network-'))
  try {
    const results: Result[] = []
    const network = await openNetwork(join(folder, 'network'))
    try {
      results.push(...(await benchFirstToken(network)))
      results.push(...(await benchStreamRate(network)))
    } finally {
      await network.close()
    }
    results.push(...(await benchGatewayRate(join(folder, 'gateway-rate'))))
    results.push(...(await benchRelayRate()))
    results.push(...(await benchManyStreams(join(folder, 'many-streams'))))
    return results
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
