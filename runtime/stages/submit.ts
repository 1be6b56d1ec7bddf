import { InvariantError } from '../core/errors.ts'
import type { AttemptRecord } from '../core/journal.ts'
import type { Runtime } from './runtime.ts'

/**
 * Broadcasts the bytes that the journal holds. Sending the same bytes again is always safe.
 *
 * When the node's answer leaves the outcome open, or is a refusal, the attempt stays in flight all the same: what
 * was signed may be mined, whoever has seen it. The confirm stage finds out.
 */
export async function submit(runtime: Runtime, attempt: AttemptRecord): Promise<void> {
  if (attempt.raw === null) throw new InvariantError('An attempt without bytes cannot be broadcast.')
  await runtime.chain.sendRaw(attempt.raw)
  await runtime.journal.markBroadcast(attempt.id)
  runtime.logger.info(
    { attempt: attempt.id, hash: attempt.hash, nonce: attempt.nonce.toString() },
    'broadcast',
  )
}
