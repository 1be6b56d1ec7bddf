import type { AttemptRecord } from '../core/journal.ts'
import type { BlockRef } from '../core/snapshot.ts'

/** All open attempts on one nonce of an account, first to last: at most one of them is ever mined. */
export type Slot = readonly [AttemptRecord, ...AttemptRecord[]]

/** Attempts in flight, nonce by nonce in the order in which the journal gives them. */
export function slotsOf(attempts: readonly AttemptRecord[]): readonly Slot[] {
  const slots = new Map<string, [AttemptRecord, ...AttemptRecord[]]>()
  for (const attempt of attempts) {
    const key = `${attempt.account}.${attempt.nonce}`
    const slot = slots.get(key)
    if (slot === undefined) slots.set(key, [attempt])
    else slot.push(attempt)
  }
  return [...slots.values()]
}

/** What is in flight by now on the nonce of a slot; null when nothing is any more. */
export const slotOf = (attempts: readonly AttemptRecord[], [{ account, nonce }]: Slot): Slot | null =>
  slotsOf(attempts).find(([first]) => first.account === account && first.nonce === nonce) ?? null

/** The last of a nonce that has its bytes: what should be in the pools now. Null while there is none. */
export const newestSigned = (slot: readonly AttemptRecord[]): AttemptRecord | null =>
  slot.findLast(({ raw }) => raw !== null) ?? null

/** Whether a transaction does nothing but use its nonce. */
export const isEmpty = ({ plan }: Pick<AttemptRecord, 'plan'>): boolean => plan.calls.length === 0

/**
 * How many blocks an attempt has waited. A plan that a person let through is older than its signature, so what was
 * signed later than it was simulated counts by the chain's time.
 */
export function waitedBlocks(
  { plan, signedAt }: Pick<AttemptRecord, 'plan' | 'signedAt'>,
  head: BlockRef,
  blockSeconds: bigint,
): bigint {
  const sincePlan = head.number - plan.block.number
  const sinceSigned = (head.timestamp - signedAt) / (blockSeconds > 0n ? blockSeconds : 1n)
  return sinceSigned < sincePlan ? sinceSigned : sincePlan
}
