import { encodeEnd } from '../../infra/inference/protocol/bhttp/encode.ts'
import { varintLengthFrom, varintValue } from '../../infra/inference/protocol/binary/varint.ts'
import { suiteLengths } from '../../infra/inference/protocol/hpke/suite.ts'
import { headers } from '../../infra/inference/protocol/network/routes.ts'
import { responseNonceLength } from '../../infra/inference/protocol/ohttp/responseKeys.ts'

/*
 * What lengths tell whoever cannot open a message. Chunks carry their lengths in the clear (chunked OHTTP, section 4),
 * and the final chunk of an answer that was paid for has trailers, whose length is the same for every payment.
 */

/** Sealed lengths of the chunks of a `message/ohttp-chunked-res`, the final one last. */
export function chunkLengths(answer: Uint8Array): readonly number[] {
  const lengths: number[] = []
  for (let at = responseNonceLength; at < answer.length; ) {
    const width = varintLengthFrom(answer[at] ?? 0)
    const length = varintValue(answer.subarray(at, at + width)) ?? 0
    at += width
    if (length === 0) {
      lengths.push(answer.length - at)
      break
    }
    lengths.push(length)
    at += length
  }
  return lengths
}

const base64Length = (bytes: number): number => Math.ceil((bytes * 4) / 3)
/** Bytes of a receipt and of change (docs/wire.md). */
const receiptLength = 99
const changeLength = 2 + 256 * 16

/** Bytes of the final chunk of an answer that was paid for, however much was paid and came back. */
export const endLength: number =
  suiteLengths.Nt +
  encodeEnd([
    [headers.receipt, 'r'.repeat(base64Length(receiptLength))],
    [headers.change, 'c'.repeat(base64Length(changeLength))],
  ]).length

/** Whether an answer ends as one does that was paid for. */
export const isPaid = (answer: Uint8Array): boolean => (chunkLengths(answer).at(-1) ?? 0) >= endLength
