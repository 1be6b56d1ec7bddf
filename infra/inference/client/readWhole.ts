import type { Flight } from './flight.ts'
import { refuse } from './refusals.ts'

/** The largest plain answer that is handed over, in bytes: 2,048 embeddings of 1,536 numbers are half of it. */
const mostBody = 128 * 1024 * 1024

/**
 * Reads a plain answer to its end. What broke is told only after the payment is settled, so that the error can say
 * what it cost.
 */
export async function readWhole(
  flight: Flight,
): Promise<
  { readonly kind: 'body'; readonly body: Uint8Array } | { readonly kind: 'broken'; readonly error: unknown }
> {
  const pieces: Uint8Array[] = []
  let length = 0
  try {
    for (let piece = await flight.read(); piece !== undefined; piece = await flight.read()) {
      length += piece.length
      if (length > mostBody) throw refuse('answer_too_large', { limit: { most: mostBody } })
      pieces.push(piece)
    }
  } catch (error) {
    await flight.drain()
    return { kind: 'broken', error }
  }
  await flight.landed
  return { kind: 'body', body: pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces) }
}
