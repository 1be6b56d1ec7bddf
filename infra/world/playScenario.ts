import { setTimeout as delay } from 'node:timers/promises'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import type { Actors } from './actors.ts'
import type { PricePoint } from './scenarios/scenario.ts'
import { BLOCK_SECONDS } from './world.ts'

/** What the driver needs of the runtime that it plays against. */
export type Players = {
  head(): Promise<BlockRef>
  /** Returns when every actor is through with the block. */
  processHead(head: BlockRef): Promise<void>
  /** Whether anything is still on its way to a block. */
  busy(): Promise<boolean>
  /**
   * Returns when nobody is asked any more who has a say in what is to be signed, or when it is interrupted.
   *
   * @returns whether anybody was asked
   */
  untilAnswered(signal: AbortSignal): Promise<boolean>
}

export type PlayOptions = {
  readonly actors: Actors
  readonly players: Players
  readonly path: readonly PricePoint[]
  /** Of the block before the first that is played, in seconds. */
  readonly startTimestamp: bigint
  /** Milliseconds between blocks without waiting for anybody; null plays in lockstep. */
  readonly realtime: number | null
  readonly signal: AbortSignal
  /** Told after each block, when everybody is through with it (in lockstep). */
  onBlock(progress: { index: number; of: number; head: BlockRef; point: PricePoint }): Promise<void>
}

/**
 * How many prices of a path were played by a head.
 *
 * @param startTimestamp of the block before the first, in seconds
 * @example blocksPlayed({ timestamp: 1_025n }, 1_000n) // 2, with blocks every 12 seconds
 */
export const blocksPlayed = ({ timestamp }: Pick<BlockRef, 'timestamp'>, startTimestamp: bigint): number =>
  Number((timestamp - startTimestamp) / BigInt(BLOCK_SECONDS))

/** When the block of a price is mined, in seconds. */
const timeOf = (index: number, startTimestamp: bigint): bigint =>
  startTimestamp + BigInt((index + 1) * BLOCK_SECONDS)

/** Blocks that are mined at the end, at the last price, until what is in flight is settled. */
const CLOSING_BLOCKS = 8

/**
 * Plays a path of prices through the world: each block carries the oracle's new price, the arbitrage of the pool
 * towards it, and whatever the actors sent after the block before.
 *
 * In lockstep a block is mined when every actor has finished with the last one, so that the same path gives the
 * same blocks on a machine of any speed. People are waited for, too, and what they answered is taken up on a block of its
 * own at the price that they saw. Where it stands is read from the time of the chain alone: called again after a crash, it
 * lets the actors finish with the block that stands and goes on with the next.
 */
export async function playScenario(options: PlayOptions): Promise<void> {
  const { actors, players, path, startTimestamp, signal } = options
  let head = await players.head()
  // What an earlier process left half-done with this block; finds everything done where it was not cut off.
  await players.processHead(head)

  const audience = options.realtime === null ? lockstep(options) : realtime(players, options.realtime, signal)
  for (let index = blocksPlayed(head, startTimestamp); index < path.length && !signal.aborted; index += 1) {
    const point = path[index] as PricePoint
    await audience.ready()
    if (signal.aborted) break
    await mine(actors, point, timeOf(index, startTimestamp))
    head = await players.head()
    await audience.show(head)
    await options.onBlock({ index, of: path.length, head, point })
  }
  await audience.end()
  await close(options)
}

/** How blocks are shown to the actors: one is mined when the last was shown and they are ready for the next. */
type Audience = { ready(): Promise<void>; show(head: BlockRef): Promise<void>; end(): Promise<void> }

const lockstep = ({ actors, players, path, startTimestamp, signal }: PlayOptions): Audience => ({
  async ready() {
    while ((await players.untilAnswered(signal)) && !signal.aborted) {
      const head = await players.head()
      const index = blocksPlayed(head, startTimestamp)
      const timestamp = head.timestamp + 1n
      // Whoever is asked a dozen times about one price has to bear the next.
      if (timestamp >= timeOf(index, startTimestamp)) return
      const { baseFeePerGas } = path[Math.max(index - 1, 0)] as PricePoint
      await actors.mineBlock({ timestamp, baseFeePerGas })
      await players.processHead(await players.head())
    }
  },
  show: (head) => players.processHead(head),
  end: async () => undefined,
})

/** Blocks come when it is time. Actors see one head at a time, and pass over those that came meanwhile. */
function realtime(players: Players, milliseconds: number, signal: AbortSignal): Audience {
  let newest: BlockRef | undefined
  let work: Promise<void> = Promise.resolve()
  let failure: { readonly error: unknown } | undefined
  const follow = async () => {
    const head = newest
    newest = undefined
    if (head !== undefined && failure === undefined) await players.processHead(head)
  }
  return {
    ready: async () => undefined,
    async show(head) {
      newest = head
      work = work.then(follow).catch((error: unknown) => {
        failure ??= { error }
      })
      if (failure !== undefined) throw failure.error
      await pause(milliseconds, signal)
    },
    async end() {
      await work
      if (failure !== undefined) throw failure.error
    },
  }
}

/** Lets what is in flight come to rest at the last price. */
async function close({ actors, players, path, startTimestamp, signal }: PlayOptions) {
  const last = path.at(-1)
  if (last === undefined) return
  for (let extra = 0; extra < CLOSING_BLOCKS && !signal.aborted && (await players.busy()); extra += 1) {
    const head = await players.head()
    await mine(actors, last, timeOf(blocksPlayed(head, startTimestamp), startTimestamp))
    await players.processHead(await players.head())
  }
}

async function mine(actors: Actors, point: PricePoint, timestamp: bigint): Promise<void> {
  await actors.pushPrice(point.oracle)
  await actors.arbitrageTo(point.market)
  await actors.mineBlock({ timestamp, baseFeePerGas: point.baseFeePerGas })
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
