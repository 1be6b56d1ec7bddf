import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { loadNetwork, type NetworkConfig } from '../config/loadNetwork.ts'

/** Where a runtime says which loopback network it runs, so that other commands of its folder can use it. */
const noticeIn = (directory: string): string => join(directory, 'inference', 'network.json')

/** Says it. @param directory Rialto's folder */
export async function postNetwork(directory: string, network: NetworkConfig): Promise<void> {
  const path = noticeIn(directory)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(path, `${JSON.stringify(network, null, 2)}\n`, { mode: 0o600 })
}

/** Takes it back. */
export const withdrawNetwork = (directory: string): Promise<void> => rm(noticeIn(directory), { force: true })

/**
 * The loopback network that runs on a folder now, or null. What a killed process left is not taken for one: its relay
 * does not answer.
 *
 * @throws {ConfigError} when the notice was damaged
 */
export async function findNetwork(directory: string): Promise<NetworkConfig | null> {
  const path = noticeIn(directory)
  const there = await readFile(path).then(
    () => true,
    () => false,
  )
  if (!there) return null
  const network = await loadNetwork(path)
  const answers = await fetch(`${network.relays[0]}/healthz`, { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  )
  return answers ? network : null
}
