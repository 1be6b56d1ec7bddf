import { RouteMissingError, RpcUnreachableError, TransactionRefusedError } from '../core/chainErrors.ts'
import { describeError, InvariantError } from '../core/errors.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { SubmissionRoute } from '../core/ports.ts'
import type { BlockRef } from '../core/snapshot.ts'
import type { Policy } from '../guards/policy.ts'
import type { Runtime } from './runtime.ts'
import { waitedBlocks } from './slot.ts'

/**
 * What became of bytes that were sent. `misplaced`: the chain and we do not agree on the nonces of the account, which
 * then have to be reconciled.
 */
export type Submission = 'taken' | 'unknown' | 'refused' | 'misplaced'

/**
 * Broadcasts the bytes that the journal holds, by the route that the policy names. Sending the same bytes again is
 * always safe.
 *
 * Whatever the answer is, the attempt keeps its nonce and its budget: what was signed may be mined, whoever has seen
 * it. A clear refusal leaves the attempt in its state; an answer that leaves it open, or that nobody expected, makes
 * it `unknown`. The confirm stage finds out.
 *
 * @param first on the nonce: from there on the policy counts how long it has been private
 * @throws {RpcUnreachableError} when the bytes never left this machine: nothing is changed then.
 * @throws {RouteMissingError} when the policy wants a private route, and none is configured.
 */
export async function submit(
  runtime: Runtime,
  attempt: AttemptRecord,
  policy: Policy,
  head: BlockRef,
  first: AttemptRecord = attempt,
): Promise<Submission> {
  if (attempt.raw === null) throw new InvariantError('An attempt without bytes cannot be broadcast.')
  const { id, hash, nonce } = attempt
  const route = routeAfter(policy, waitedBlocks(first, head, runtime.blockSeconds))
  const told = { attempt: id, hash, nonce: nonce.toString(), route }
  try {
    await runtime.chain.sendRaw(attempt.raw, route)
  } catch (error) {
    if (error instanceof RpcUnreachableError || error instanceof RouteMissingError) throw error
    if (error instanceof TransactionRefusedError) {
      runtime.logger.warn({ ...told, reason: error.reason }, 'refused by the node: it keeps its nonce')
      return error.reason === 'NONCE_TOO_LOW' || error.reason === 'NONCE_TOO_HIGH' ? 'misplaced' : 'refused'
    }
    const failure = describeError(error)
    runtime.logger.warn({ ...told, failure }, 'nobody knows whether it was taken: it keeps nonce and budget')
    await runtime.journal.advance(id, { to: 'unknown', failure })
    return 'unknown'
  }
  await runtime.journal.advance(id, { to: 'broadcast' })
  runtime.logger.info(told, 'broadcast')
  return 'taken'
}

/**
 * A private route is left for the public pool only when the policy says so, and only after as long as it says.
 *
 * @param age blocks since the first on the nonce was made
 */
export function routeAfter({ submission }: Policy, age: bigint): SubmissionRoute {
  const { route, publicAfterBlocks } = submission
  const isOver = publicAfterBlocks !== null && age >= BigInt(publicAfterBlocks)
  return route === 'private' && !isOver ? 'private' : 'public'
}
