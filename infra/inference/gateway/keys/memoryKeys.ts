import { randomInt } from 'node:crypto'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { ReplaySetFullError, UnknownKeyError } from '../../protocol/errors.ts'
import { nodeHpke } from '../../protocol/hpke/nodeHpke.ts'
import { createGatewayKey, type GatewayKey } from '../../protocol/ohttp/keys.ts'
import { ReplaySet } from '../../protocol/ohttp/replay.ts'
import type { OhttpKeys } from './ohttpKeys.ts'

/** Keys that are accepted at once at most: each keeps a set of the requests that it opened. */
const MOST_KEYS = 4
/** A new key is made when the set of the current one is filled so far. */
const NEARLY_FULL = 0.9

type Held = {
  readonly key: GatewayKey
  readonly born: number
  acceptedUntil: number
  readonly replays: ReplaySet
}

/**
 * OHTTP keys that never leave the memory of this process. They die with it, and so does the memory of their replays:
 * what was captured opens nowhere once the process has ended.
 *
 * @param rotation milliseconds after which a new key is made
 * @param capacity how many requests one key serves
 * @param lastId the identifier that a directory named last, so that the first key here has another one
 * @param onNearlyFull called when a key has nearly served its requests: time to {@link OhttpKeys.rotate}
 */
export async function createMemoryKeys(parameters: {
  readonly rotation: number
  readonly capacity: number
  readonly lastId: number | undefined
  readonly now: () => number
  readonly onNearlyFull: () => void
}): Promise<OhttpKeys> {
  const { rotation, capacity, now, onNearlyFull } = parameters
  const threshold = Math.max(1, Math.floor(capacity * NEARLY_FULL))
  let held: readonly Held[] = []
  let accepted: ReadonlyMap<number, GatewayKey> = new Map()
  let lastId = parameters.lastId ?? randomInt(256)

  const newest = (): Held => {
    const last = held.at(-1)
    if (last === undefined) throw new InvariantError('A gateway always has a key.')
    return last
  }

  function hold(next: readonly Held[]): void {
    held = next
    accepted = new Map(next.map(({ key }) => [key.keyId, key]))
  }

  async function make(): Promise<void> {
    lastId = (lastId + 1) & 0xff
    const born = now()
    const key = await createGatewayKey(nodeHpke, lastId, await nodeHpke.generateKeyPair())
    hold([...held, { key, born, acceptedUntil: born + rotation, replays: new ReplaySet(capacity) }])
  }

  await make()
  return {
    get accepted() {
      return accepted
    },
    get current() {
      return newest().key
    },
    admit(key, enc) {
      const of = held.find((each) => each.key === key)
      if (of === undefined) throw new UnknownKeyError(key.keyId)
      try {
        of.replays.admit(enc)
      } catch (error) {
        if (!(error instanceof ReplaySetFullError)) throw error
        // It can serve nobody any more, so its memory may go; the client is told to fetch the keys again.
        if (of !== newest()) hold(held.filter((each) => each !== of))
        throw new UnknownKeyError(key.keyId)
      }
      if (of.replays.size === threshold && of === newest()) onNearlyFull()
    },
    async rotate() {
      const at = now()
      const current = newest()
      if (at >= current.born + rotation || current.replays.size >= threshold) await make()
      const last = newest()
      const kept = held.filter((each) => each === last || each.acceptedUntil > at).slice(-MOST_KEYS)
      if (kept.length < held.length) hold(kept)
    },
    published(notAfter) {
      const last = newest()
      last.acceptedUntil = Math.max(last.acceptedUntil, notAfter)
    },
    adopt: () => Promise.resolve(),
  }
}
