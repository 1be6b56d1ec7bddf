import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeRequest } from './bhttp/decode.ts'
import { encodeRequest } from './bhttp/encode.ts'
import { noBytes } from './binary/bytes.ts'
import { MessageTooLargeError } from './errors.ts'
import { padRequest, requestBucket, requestBuckets } from './padding.ts'

const request = {
  method: 'POST',
  scheme: 'https',
  authority: 'a',
  path: '/',
  headers: [],
  content: noBytes,
  trailers: [],
}

describe('request buckets', () => {
  it('are a ladder from 2 KiB to 8 MiB', () => {
    expect([requestBuckets.length, requestBuckets[0], requestBuckets.at(-1)]).toEqual([
      13,
      2048,
      8 * 1024 * 1024,
    ])
    expect([0, 2048, 2049, 8 * 1024 * 1024].map(requestBucket)).toEqual([2048, 2048, 4096, 8 * 1024 * 1024])
    expect(() => requestBucket(8 * 1024 * 1024 + 1)).toThrow(MessageTooLargeError)
  })

  it('cost at most twice the bytes, and change nothing of the request', () => {
    const framings = fc.constantFrom('known' as const, 'indeterminate' as const)
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20_000, size: 'max' }),
        framings,
        fc.boolean(),
        (content, framing, truncate) => {
          const message = encodeRequest({ ...request, content }, { framing, truncate })
          const padded = padRequest(message)
          expect(requestBuckets).toContain(padded.length)
          expect(padded.length).toBeLessThan(Math.max(2 * message.length, 2049))
          expect(decodeRequest(padded)).toEqual({ ...request, content })
        },
      ),
    )
  })
})
