import { setTimeout as delay } from 'node:timers/promises'
import { BlockGoneError } from '../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'

/** The chain has another head than before. */
export type HeadChange = {
  readonly head: BlockRef
  /**
   * Blocks that are new on the canonical chain, oldest first; the last is `head`. Empty when the chain was rolled
   * back to a block that was seen before.
   */
  readonly added: readonly BlockRef[]
  /** Blocks that were reorganised away, newest first. Empty on an ordinary new head. */
  readonly dropped: readonly BlockRef[]
  /** A reorganisation or a gap was deeper than is remembered: `added` and `dropped` may lack older blocks. */
  readonly truncated: boolean
}

export type WatchHeadsParameters = {
  readonly signal: AbortSignal
  /** Milliseconds between two looks. */
  readonly pollInterval: number
  /** Told of every retryable failure; the watch goes on. */
  readonly onError: (error: RialtoError) => void
  /** Blocks remembered, and the deepest gap that is filled. Default 128. */
  readonly memory?: number
}

/**
 * New heads, as they come, by polling.
 *
 * Nothing but hashes tells one block from another: a reorganisation can leave the number as it was, or lower it,
 * and nodes announce it badly (anvil not at all). Each new head is therefore walked back by parent hashes until it
 * meets a block that is remembered. The first head is yielded at once. Ends when the signal aborts.
 *
 * @throws {RialtoError} whatever is not retryable.
 * @example for await (const { head } of watchHeads(chain, { signal, pollInterval: 500, onError })) run(head)
 */
export async function* watchHeads(
  chain: Pick<Chain, 'head' | 'block'>,
  { signal, pollInterval, onError, memory = 128 }: WatchHeadsParameters,
): AsyncGenerator<HeadChange, void, void> {
  /** The canonical chain as last seen, oldest first. */
  let known: readonly BlockRef[] = []
  while (!signal.aborted) {
    const change = await look(chain, known, memory, onError)
    if (change !== null) {
      known = change.known
      yield change.change
    }
    if (signal.aborted) return
    await pause(pollInterval, signal)
  }
}

async function look(
  chain: Pick<Chain, 'head' | 'block'>,
  known: readonly BlockRef[],
  memory: number,
  onError: (error: RialtoError) => void,
): Promise<{ change: HeadChange; known: readonly BlockRef[] } | null> {
  try {
    const head = await chain.head()
    const last = known.at(-1)
    if (last?.hash === head.hash) return null
    const branch = await walkBack(chain, head, known, memory)
    // The chain moved while it was walked: look again.
    if (branch === null) return null
    const { added, forkIndex } = branch
    return {
      change: {
        head,
        added,
        dropped: known.slice(forkIndex + 1).toReversed(),
        truncated: known.length > 0 && forkIndex < 0,
      },
      known: [...known.slice(0, forkIndex + 1), ...added].slice(-memory),
    }
  } catch (error) {
    if (!(error instanceof RialtoError) || !error.retryable) throw error
    onError(error)
    return null
  }
}

/**
 * From `head` back to the newest block that is remembered.
 *
 * @returns the way there, oldest first, and where in `known` it met (-1: nowhere); null when the blocks do not link
 * up, because the chain was reorganised in between.
 */
async function walkBack(
  chain: Pick<Chain, 'block'>,
  head: BlockRef,
  known: readonly BlockRef[],
  memory: number,
): Promise<{ added: readonly BlockRef[]; forkIndex: number } | null> {
  const rolledBackTo = known.findLastIndex(({ hash }) => hash === head.hash)
  if (rolledBackTo >= 0) return { added: [], forkIndex: rolledBackTo }
  const added = [head]
  const oldest = known[0]
  // The first head stands for itself: there is nothing that it could be walked back to.
  if (oldest === undefined) return { added, forkIndex: -1 }
  for (let child = head; added.length <= memory; ) {
    const forkIndex = known.findLastIndex(({ hash }) => hash === child.parentHash)
    if (forkIndex >= 0) return { added, forkIndex }
    if (child.number <= oldest.number || child.number === 0n) break
    const parent = await blockIfThere(chain, child.number - 1n)
    if (parent === null || parent.hash !== child.parentHash) return null
    added.unshift(parent)
    child = parent
  }
  return { added, forkIndex: -1 }
}

async function blockIfThere(chain: Pick<Chain, 'block'>, number: bigint): Promise<BlockRef | null> {
  try {
    return await chain.block(number)
  } catch (error) {
    if (error instanceof BlockGoneError) return null
    throw error
  }
}

/** Waits, or returns early when the signal aborts. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
