import type { Address } from 'viem'
import type { AttemptRecord } from '../../core/journal.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import { NonceGapError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'

/**
 * The next nonce of an account: after all that the chain counts, the journal holds and the signer signed for. What is to
 * be mined on it needs every nonce before it used, so nothing is put behind a gap.
 *
 * @param head whose count it is
 * @throws {NonceGapError}
 */
export async function freeNonce(runtime: Runtime, account: Address, head: BlockRef): Promise<bigint> {
  const { next, gaps } = await noncesAt(runtime, account, head)
  if (gaps.length > 0) throw new NonceGapError(account, gaps)
  return next
}

/** Where the nonces of an account stand. */
export type Nonces = {
  /** Transactions of the account that the chain counts. */
  readonly mined: bigint
  /** The nonce after all that is used or spoken for, authorisations that are out included. */
  readonly next: bigint
  /** Nonces in between that nothing on its way will use. */
  readonly gaps: readonly bigint[]
}

export async function noncesAt(runtime: Runtime, account: Address, head: BlockRef): Promise<Nonces> {
  const { chain, journal, signer } = runtime
  const mined = await chain.nonce(account, head.hash)
  const [recorded, open, signed] = await Promise.all([
    journal.nextNonce(account),
    journal.inFlight(account),
    // From one before: what was signed for that may be an authorisation for this one.
    signer.signedFrom(account, mined === 0n ? mined : mined - 1n),
  ])
  const ends = signed.map(({ nonce, noncesUsed }) => nonce + BigInt(noncesUsed))
  const next = [recorded ?? 0n, ...ends].reduce((a, b) => (b > a ? b : a), mined)
  return { mined, next, gaps: gapsBetween(mined, next, open) }
}

/**
 * Nonces from `mined` on and before `next` that no open attempt will use. A second nonce is used by an authorisation,
 * and that only if the transaction that carries it is the one that is mined on the first: once the chain counts the
 * first as used, and not the second, it will not be.
 */
export function gapsBetween(
  mined: bigint,
  next: bigint,
  open: readonly Pick<AttemptRecord, 'nonce' | 'noncesUsed'>[],
): readonly bigint[] {
  const covered = new Set(
    open
      .filter(({ nonce }) => nonce >= mined)
      .flatMap(({ nonce, noncesUsed }) => (noncesUsed === 1 ? [nonce] : [nonce, nonce + 1n])),
  )
  const gaps: bigint[] = []
  for (let nonce = mined; nonce < next; nonce += 1n) if (!covered.has(nonce)) gaps.push(nonce)
  return gaps
}
