import { type Address, isAddressEqual } from 'viem'
import type { AttemptId } from '../../core/ids.ts'
import type { AttemptRecord } from '../../core/journal.ts'
import type { LedgerAttempt } from '../../core/ports.ts'
import type { BlockRef } from '../../core/snapshot.ts'
import type { Runtime } from '../runtime.ts'

/** Where the nonces of an account stand, by chain, journal and ledger. */
export type Nonces = {
  readonly account: Address
  /** Transactions of the account that the chain counts at the head. */
  readonly mined: bigint
  /** The nonce after all that the journal holds; null when it holds none. */
  readonly recorded: bigint | null
  /** What the journal has in flight. */
  readonly open: readonly AttemptRecord[]
  /** What the signer signed, from the lowest nonce on that anybody may not be through with. */
  readonly signed: readonly LedgerAttempt[]
  /** The nonce after all that is used or spoken for, authorisations that are out included. */
  readonly next: bigint
  /** Nonces before `next` that nothing on its way will use. */
  readonly gaps: readonly bigint[]
}

/** Asks chain, journal and ledger about an account's nonces. An account whose key is elsewhere has an empty ledger. */
export async function readNonces(
  { chain, journal, signer }: Runtime,
  account: Address,
  head: BlockRef,
): Promise<Nonces> {
  const [mined, recorded, open, held] = await Promise.all([
    chain.nonce(account, head.hash),
    journal.nextNonce(account),
    journal.inFlight(account),
    signer.accounts(),
  ])
  // From one before the chain's: what was signed for that may be an authorisation for the next. A journal that is new
  // gets the whole ledger.
  const from = [mined - 1n, recorded ?? 0n, ...open.map(({ nonce }) => nonce)].reduce((a, b) =>
    b < a ? b : a,
  )
  const hasKey = held.some((address) => isAddressEqual(address, account))
  const signed = hasKey ? await signer.signedFrom(account, from < 0n ? 0n : from) : []
  const ends = signed.map(({ nonce, noncesUsed }) => nonce + BigInt(noncesUsed))
  const next = [recorded ?? 0n, ...ends].reduce((a, b) => (b > a ? b : a), mined)
  return { account, mined, recorded, open, signed, next, gaps: gapsBetween(mined, next, open) }
}

/** What the journal knows of an account's attempts: an id that another account has is no news of this one. */
export const knownOf = (account: Address, attempts: readonly AttemptRecord[]): ReadonlySet<AttemptId> =>
  new Set(attempts.filter((one) => isAddressEqual(one.account, account)).map(({ id }) => id))

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
