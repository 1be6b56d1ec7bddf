import { InvariantError } from '../../../../runtime/core/errors.ts'
import { requireLength } from '../bytes.ts'

/**
 * Where a gateway keeps the sealed answers that it may have to deliver again. What is kept is ciphertext that only the
 * client can open; it saves a repeated run of the model, and nothing is lost but that when an answer is not there.
 *
 * An implementation **must**
 *
 * 1. give back the bytes that were put last under a binding, until their time is over and never after;
 * 2. keep nothing of an answer that is larger than {@link AnswerLimits.answerBytes} and say so with `false`, in which
 *    case what was there before stays;
 * 3. never hold more than {@link AnswerLimits.totalBytes}, counting {@link ENTRY_BYTES} for each answer besides its own
 *    bytes, and make room by forgetting first what was put first;
 * 4. keep bytes of its own: what the caller writes into a buffer before or after changes nothing;
 * 5. tell every failure with `STORE_UNAVAILABLE`: "not there" means that the answer is not there.
 */
export type AnswerCache = {
  /**
   * Keeps an answer, in place of an earlier one.
   *
   * @param binding of the spend that the answer is for, 32 bytes
   * @param answer as it is sent to the client, sealed
   * @param ttlMs for how many milliseconds, at least 1 and at most {@link MOST_TTL_MS}
   * @returns false when it is too large to be kept
   * @throws {TokenError} `TOKEN_FORMAT` or `STORE_UNAVAILABLE`
   */
  put(binding: Uint8Array, answer: Uint8Array, ttlMs: number): Promise<boolean>
  /**
   * @param binding 32 bytes
   * @returns undefined when nothing is there, or not any more
   * @throws {TokenError} `TOKEN_FORMAT` or `STORE_UNAVAILABLE`
   */
  get(binding: Uint8Array): Promise<Uint8Array | undefined>
  /** Lets go of the resources. */
  close(): Promise<void>
}

export type AnswerLimits = {
  /** Most bytes of one answer; 4 MiB unless given. */
  readonly answerBytes?: number
  /** Most bytes of all answers together; 256 MiB unless given. */
  readonly totalBytes?: number
}

/** What is counted for an answer besides its bytes: its binding and what keeping it takes. */
export const ENTRY_BYTES = 256

/** One hour: whatever is kept for longer is no re-delivery but an archive. */
export const MOST_TTL_MS = 3_600_000

/** The limits with what is not given filled in. One answer of the largest size always fits. */
export function requireLimits({
  answerBytes = 4 << 20,
  totalBytes = 256 << 20,
}: AnswerLimits): Required<AnswerLimits> {
  if (!Number.isSafeInteger(answerBytes) || answerBytes < 0 || !Number.isSafeInteger(totalBytes))
    throw new InvariantError('Limits are whole numbers of bytes.', { answerBytes, totalBytes })
  if (totalBytes < answerBytes + ENTRY_BYTES)
    throw new InvariantError('The largest answer does not fit into the total.', { answerBytes, totalBytes })
  return { answerBytes, totalBytes }
}

/** @throws {TokenError} `TOKEN_FORMAT` */
export const requireBinding = (binding: Uint8Array): void => requireLength('binding', binding, 32)

export function requireTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < 1 || ttlMs > MOST_TTL_MS)
    throw new InvariantError(`A time to live is 1 to ${MOST_TTL_MS} milliseconds.`, { ttlMs })
}
