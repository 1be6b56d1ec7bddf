import { isAddressEqual } from 'viem'
import type { Hash } from '../../core/ids.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import type { Policy } from '../../guards/policy.ts'
import type { Nonces } from '../nonce/readNonces.ts'
import { repeatSettlement } from '../reconcile.ts'
import type { Runtime } from '../runtime.ts'
import { sayOnce, wasTold } from '../say.ts'
import type { Slot } from '../slot.ts'
import { deepestNeeded } from './depth.ts'

/**
 * A nonce is used, and none of its attempts has a receipt. Until a quorum proves, at as many confirmations as the
 * policy asks, that something else was mined on it, they are `unknown`: they keep nonce and budget, and nothing of
 * theirs is tried again. Once it is proven they are `replaced`, and their intents over: the agent decides anew.
 */
export async function judgeOutside(
  runtime: Runtime,
  policy: Policy,
  slot: Slot,
  head: BlockRef,
): Promise<'unknown' | 'superseded'> {
  const { chain, journal, logger } = runtime
  const [{ account, nonce }] = slot
  const number = await deepestNeeded(runtime, policy, head)
  const deep = number === null ? null : await chain.block(number)
  if (deep !== null && (await chain.nonce(account, deep.hash)) > nonce) {
    const named = await chain.transactionAt(account, nonce, deep)
    if (named !== null && (await isSettled(runtime, named.hash))) return 'superseded'
    // One of ours, whose receipt the nodes have yet to agree on, or that the journal lost, is no proof of anything.
    if (named === null || !(await isOurs(runtime, slot, named.hash))) {
      const outside = { account, nonce, hash: named?.hash ?? null, block: named?.block ?? idOf(deep) }
      for (const { id } of await journal.supersede(outside))
        logger.error(
          { attempt: id, nonce: nonce.toString(), by: outside.hash, block: outside.block.number.toString() },
          'something outside of Rialto used its nonce: its intent is over, and the agent decides anew',
        )
      return 'superseded'
    }
  }
  for (const { id, status, hash } of slot) {
    if (status === 'unknown' || status === 'prepared') continue
    const failure = `nonce ${nonce} was used, and there is no receipt for ${hash}`
    logger.error(
      { attempt: id, hash, nonce: nonce.toString() },
      'nonce used, and by no transaction of ours that has a receipt',
    )
    await journal.advance(id, { to: 'unknown', failure })
  }
  return 'unknown'
}

/** Whether the transaction is of the nonce's attempts, or one that the signer's ledger has and the journal lost. */
async function isOurs({ signer }: Runtime, slot: Slot, hash: Hash): Promise<boolean> {
  if (slot.some((attempt) => attempt.hash === hash)) return true
  const [{ account, nonce }] = slot
  if (!(await signer.accounts()).some((held) => isAddressEqual(held, account))) return false
  return (await signer.signedFrom(account, nonce)).some((signed) => signed.hash === hash)
}

/**
 * What was mined may be an attempt that the journal settled before it knew of these: they came out of the ledger after a
 * power cut. The same settlement once more takes them along.
 *
 * @returns whether the journal has settled the transaction
 */
async function isSettled(runtime: Runtime, hash: Hash): Promise<boolean> {
  const winner = (await runtime.journal.attempts()).find((attempt) => attempt.hash === hash)
  return winner !== undefined && repeatSettlement(runtime, winner)
}

const idOf = ({ number, hash }: BlockRef) => ({ number, hash })

/** How many nonces that nobody here used are named one by one. */
const NAMED = 8n

/**
 * Tells, once, of transactions of an account that neither journal nor ledger knows: somebody else has its key, or its
 * owner used another wallet. What they changed is in the next snapshot, and the next run decides by that.
 */
export async function noticeStrangers(
  { chain, logger }: Runtime,
  { account, mined, recorded }: Nonces,
  head: BlockRef,
): Promise<void> {
  // What an account did before the journal knew it is its own affair.
  if (recorded === null || recorded >= mined) return
  const first = mined - recorded > NAMED ? mined - NAMED : recorded
  for (let nonce = first; nonce < mined; nonce += 1n) {
    const key = `stranger.${account}.${nonce}`
    if (wasTold(logger, key)) continue
    const named = await chain.transactionAt(account, nonce, head)
    sayOnce(
      logger,
      key,
      'warn',
      { account, nonce: nonce.toString(), hash: named?.hash ?? null },
      'a transaction of the account that Rialto did not make: leave its key to Rialto alone',
    )
  }
}
