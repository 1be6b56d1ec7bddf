import type { AttemptRecord } from '../../core/journal.ts'
import type { Receipt } from '../../core/ports.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import type { Runtime } from '../runtime.ts'
import type { Slot } from '../slot.ts'
import { isOnChain } from './isOnChain.ts'

/** Where a nonce stands: what was mined on it, that something else was, or that it is still free. */
export type Sighting =
  | { readonly kind: 'mined'; readonly attempt: AttemptRecord; readonly receipt: Receipt }
  /** Used, and by none of its attempts as far as anybody can tell. */
  | { readonly kind: 'used' }
  | { readonly kind: 'afloat' }
  /** What the nodes say does not fit together: nothing follows from it, and the next head asks again. */
  | { readonly kind: 'unclear' }

/**
 * Looks for the attempts of one nonce at a head, and moves them to `mined` and out of it by what a quorum says. Which
 * of them it is makes no difference: whichever is mined is what counts.
 */
export async function confirm(runtime: Runtime, slot: Slot, head: BlockRef): Promise<Sighting> {
  for (const attempt of slot) {
    const receipt = attempt.hash === null ? null : await runtime.chain.receipt(attempt.hash)
    if (receipt === null) continue
    if (!(await isOnChain(runtime, receipt.block))) return { kind: 'unclear' }
    for (const other of slot) if (other.id !== attempt.id) await takeBack(runtime, other)
    return { kind: 'mined', attempt: await moveToMined(runtime, attempt, receipt), receipt }
  }
  for (const attempt of slot)
    if ((await takeBack(runtime, attempt)) === 'contradiction') return { kind: 'unclear' }
  const [{ account, nonce }] = slot
  return (await runtime.chain.nonce(account, head.hash)) > nonce ? { kind: 'used' } : { kind: 'afloat' }
}

async function moveToMined(
  { journal }: Runtime,
  attempt: AttemptRecord,
  { block }: Receipt,
): Promise<AttemptRecord> {
  if (attempt.status === 'mined') {
    if (attempt.blockHash === block.hash) return attempt
    // In another block than before: it was taken out of that one first.
    await journal.advance(attempt.id, { to: 'reorged' })
  }
  return journal.advance(attempt.id, { to: 'mined', block })
}

/** An attempt that was in a block, and of which there is no receipt any more. */
async function takeBack(
  runtime: Runtime,
  { id, status, blockNumber: number, blockHash: hash }: AttemptRecord,
): Promise<'none' | 'reorged' | 'contradiction'> {
  if (status !== 'mined' || number === null || hash === null) return 'none'
  if (await isOnChain(runtime, { number, hash })) {
    const failure = `block ${number} is on the chain, and the receipt of it is not`
    runtime.logger.error({ attempt: id, failure }, 'the nodes contradict one another')
    await runtime.journal.advance(id, { to: 'unknown', failure })
    return 'contradiction'
  }
  runtime.logger.warn({ attempt: id, block: number.toString(), hash }, 'its block left the chain')
  await runtime.journal.advance(id, { to: 'reorged' })
  return 'reorged'
}
