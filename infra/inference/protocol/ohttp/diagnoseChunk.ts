import { BrokenStreamError, DecryptionError, type StreamFault } from '../errors.ts'
import { suiteLengths } from '../hpke/suite.ts'

/** How many places to either side of its own a chunk is tried at. */
const reach = 64

/** Opens a chunk at a place of the stream, as the final one or not. */
export type OpenAt = (sequence: number, final: boolean, sealed: Uint8Array) => Promise<Uint8Array>

/**
 * Finds out what was done to a stream, from the chunk that did not open in its place.
 *
 * The nonce of a chunk is its place and the AAD is whether it is final (chunked OHTTP, section 6), so a chunk
 * that opens at another place, or as the other kind, was moved there or relabelled by somebody without the key.
 * Only the receiver of an answer asks: nothing of this goes back to whoever sent it.
 *
 * @param position the place at which it arrived
 * @param final whether it arrived as the final chunk
 * @throws BrokenStreamError `truncated` if a chunk in the middle was passed off as the final one, `trailing` if
 * bytes follow an empty final chunk or it was given a length, `repeated` and `reordered` for a chunk of another
 * place
 * @throws DecryptionError if it opens nowhere near
 */
export async function diagnoseChunk(
  openAt: OpenAt,
  position: number,
  final: boolean,
  sealed: Uint8Array,
): Promise<never> {
  const opens = (sequence: number, asFinal: boolean, bytes = sealed): Promise<boolean> =>
    openAt(sequence, asFinal, bytes).then(
      () => true,
      (error: unknown) => {
        if (error instanceof DecryptionError) return false
        throw error
      },
    )
  const report = (fault: StreamFault): never => {
    throw new BrokenStreamError(fault)
  }

  if (await opens(position, !final)) report(final ? 'truncated' : 'trailing')
  // Our senders end a stream with an empty final chunk, so what follows it is told from it.
  if (final && (await opens(position, true, sealed.subarray(0, suiteLengths.Nt)))) report('trailing')
  for (let distance = 1; distance <= reach; distance++) {
    for (const asFinal of [false, true]) {
      const earlier = position - distance
      if (earlier >= 0 && (await opens(earlier, asFinal))) report('repeated')
      if (await opens(position + distance, asFinal)) report('reordered')
    }
  }
  throw new DecryptionError()
}
