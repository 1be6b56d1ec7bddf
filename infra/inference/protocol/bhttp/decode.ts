import { ByteWriter } from '../binary/byteWriter.ts'
import { MalformedMessageError } from '../errors.ts'
import { BinaryHttpDecoder, type BinaryHttpEvent, type BinaryHttpLimits } from './decoder.ts'
import type { BinaryRequest, BinaryResponse, Field, InformationalResponse } from './message.ts'

/**
 * Decodes a whole request, of known or of indeterminate length (RFC 9292).
 *
 * @throws TruncatedMessageError, MalformedMessageError, MessageTooLargeError
 */
export function decodeRequest(bytes: Uint8Array, limits?: BinaryHttpLimits): BinaryRequest {
  const { heads, content, trailers } = decodeWhole(new BinaryHttpDecoder('request', limits), bytes)
  for (const event of heads) {
    if (event.type !== 'request') continue
    const { type: _, ...head } = event
    return { ...head, content, trailers }
  }
  throw new MalformedMessageError('is not a request')
}

/**
 * Decodes a whole response, of known or of indeterminate length (RFC 9292).
 *
 * @throws TruncatedMessageError, MalformedMessageError, MessageTooLargeError
 */
export function decodeResponse(bytes: Uint8Array, limits?: BinaryHttpLimits): BinaryResponse {
  const { heads, content, trailers } = decodeWhole(new BinaryHttpDecoder('response', limits), bytes)
  const informational: InformationalResponse[] = []
  for (const event of heads) {
    if (event.type === 'informational') informational.push({ status: event.status, headers: event.headers })
    if (event.type === 'response')
      return { informational, status: event.status, headers: event.headers, content, trailers }
  }
  throw new MalformedMessageError('is not a response')
}

/** In slices, so that content in a million tiny chunks never is a million events at once. */
const sliceLength = 16_384

function decodeWhole(decoder: BinaryHttpDecoder, bytes: Uint8Array) {
  const heads: BinaryHttpEvent[] = []
  const content = new ByteWriter()
  let trailers: readonly Field[] = []
  const take = (events: readonly BinaryHttpEvent[]): void => {
    for (const event of events) {
      if (event.type === 'content') content.bytes(event.bytes)
      else if (event.type === 'end') trailers = event.trailers
      else heads.push(event)
    }
  }
  for (let at = 0; at < bytes.length; at += sliceLength)
    take(decoder.push(bytes.subarray(at, at + sliceLength)))
  take(decoder.end())
  return { heads, content: content.finish(), trailers }
}
