import { varintLength } from '../binary/varint.ts'
import { suiteLengths } from '../hpke/suite.ts'
import { maxChunkLength } from '../ohttp/chunkFrames.ts'
import { requestHeaderLength } from '../ohttp/keys.ts'
import { requestBuckets } from '../padding.ts'

/**
 * Bytes of a `message/ohttp-chunked-req` that carries a Binary HTTP request of a length and was sealed at once.
 *
 * @example sealedRequestLength(2048) // 2104
 */
export function sealedRequestLength(length: number): number {
  const whole = Math.max(0, Math.ceil(length / maxChunkLength) - 1)
  const chunk = maxChunkLength + suiteLengths.Nt
  const rest = length - whole * maxChunkLength
  return requestHeaderLength + whole * (varintLength(chunk) + chunk) + 1 + rest + suiteLengths.Nt
}

/** The lengths that a sealed request may have on this network. A gateway refuses others: they name their sender. */
export const sealedRequestLengths: ReadonlySet<number> = new Set(requestBuckets.map(sealedRequestLength))

/** The largest bucket of a request to a node: beside tokens it has to fit in the largest of a request to a gateway. */
export const largestInnerBucket = (requestBuckets.at(-1) ?? 0) / 2

/**
 * The bucket of the shortest request that pays, 16 KiB. Every other request to a gateway has at least that size too, so
 * that a relay cannot tell which ones pay.
 */
export const smallestGatewayBucket = 16_384
