import { setTimeout as pause } from 'node:timers/promises'
import { PrivateNetworkError } from './errors.ts'
import type { DirectoryKeeper } from './keepDirectory.ts'

/**
 * Milliseconds before the directory is asked for again, by how often that did not help: relay and witness hold one for
 * a second or two, so that right after a gateway began anew both may still give the one before.
 */
const pauses = [0, 2_500] as const

/**
 * Gets the gateway's new keys, after a request that it could not open. New ones that no witness confirms yet are not
 * taken and are no failure either: the next time they may be.
 *
 * @param attempt how often the request was sent before this time
 * @throws {PrivateNetworkError} whatever else is wrong with the directory
 */
export async function renewKeys(keeper: DirectoryKeeper, attempt: number): Promise<void> {
  const wait = pauses[Math.min(attempt, pauses.length - 1)] ?? 0
  if (wait > 0) await pause(wait)
  try {
    await keeper.refresh()
  } catch (error) {
    if (!(error instanceof PrivateNetworkError) || error.refusal.code !== 'keys_unconfirmed') throw error
  }
}
