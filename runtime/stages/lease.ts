import type { Address } from 'viem'
import { describeError } from '../core/errors.ts'
import type { Lease } from '../core/journal.ts'
import { LeaseHeldError } from './errors.ts'
import type { Runtime } from './runtime.ts'

/** How long a lease lasts unless it is given back, in seconds: longer than one judgement and signature take by far. */
const LEASE_SECONDS = 30

/**
 * Does what must not happen twice at once on an account, and gives the lease back: the next one to act for the
 * account may be another process, and a rescue must not wait for a lease that nobody needs any more.
 *
 * @throws {LeaseHeldError} when another process writes the account's nonces.
 */
export async function underLease<T>(
  runtime: Runtime,
  account: Address,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const lease = await runtime.journal.acquireLease(account, runtime.holder, LEASE_SECONDS)
  if (lease === null) throw new LeaseHeldError(account)
  try {
    return await work(lease)
  } finally {
    await release(runtime, lease)
  }
}

/** A lease that cannot be given back runs out by itself, and what was done under it stays done. */
async function release(runtime: Runtime, lease: Lease): Promise<void> {
  try {
    await runtime.journal.releaseLease(lease)
  } catch (error) {
    runtime.logger.warn({ account: lease.account, error: describeError(error) }, 'lease not given back')
  }
}
