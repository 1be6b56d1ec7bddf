import { encodeEnd } from '../../infra/inference/protocol/bhttp/encode.ts'
import { varintLengthFrom, varintValue } from '../../infra/inference/protocol/binary/varint.ts'
import { suiteLengths } from '../../infra/inference/protocol/hpke/suite.ts'
import { tokenLength, tokenRequestLength } from '../../infra/inference/protocol/network/payment.ts'
import { headers } from '../../infra/inference/protocol/network/routes.ts'
import { sealedRequestLength, sealedRequestLengths } from '../../infra/inference/protocol/network/sizes.ts'
import { responseNonceLength } from '../../infra/inference/protocol/ohttp/responseKeys.ts'
import { requestBuckets } from '../../infra/inference/protocol/padding.ts'
import { ceilingClasses } from '../../infra/inference/tokens/ceiling/ceilingClasses.ts'

/*
 * What lengths tell whoever cannot open a message. Chunks carry their lengths in the clear (chunked OHTTP, section 4),
 * and the trailers of an answer, in its final chunk, are as long as the payment was.
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
/** Bytes of a receipt (docs/wire.md) and of the change for a payment. */
const receiptLength = 99
const changeLength = (paid: number): number => 2 + 256 * paid

/** Bytes of the final chunk of an answer that was paid with so many tokens. */
export const endLength = (paid: number): number =>
  suiteLengths.Nt +
  encodeEnd([
    [headers.receipt, 'r'.repeat(base64Length(receiptLength))],
    [headers.change, 'c'.repeat(base64Length(changeLength(paid)))],
  ]).length

/** Head and framing of a request to the gateway, at most. */
const requestOverhead = 256

/** The ceiling classes that a sealed request of this length can have paid: its bucket holds no more. */
const possiblePayments = (outer: number): readonly number[] =>
  ceilingClasses.filter((paid) =>
    [...sealedRequestLengths].some((inner) => {
      const payment = inner + paid * (tokenLength + tokenRequestLength)
      const fits = (content: number) => requestBuckets.find((bucket) => bucket >= content)
      return [payment, payment + requestOverhead].some(
        (content) => sealedRequestLength(fits(content) ?? 0) === outer,
      )
    }),
  )

/**
 * Which ceiling class was paid, as the relay can tell from the lengths of a request and of its answer's last chunk.
 *
 * @returns undefined for what is no paid request
 */
export function paidByLengths(outer: number, answer: Uint8Array): number | undefined {
  const final = chunkLengths(answer).at(-1) ?? 0
  const fitting = possiblePayments(outer).filter((paid) => endLength(paid) <= final)
  return fitting.length === 0 ? undefined : Math.max(...fitting)
}
