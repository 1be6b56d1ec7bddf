import { BinaryHttpDecoder, type BinaryHttpEvent } from '../protocol/bhttp/decoder.ts'
import { encodeRequest } from '../protocol/bhttp/encode.ts'
import type { BinaryRequest, Field } from '../protocol/bhttp/message.ts'
import { MalformedMessageError } from '../protocol/errors.ts'
import { problemSchema } from '../protocol/network/problem.ts'
import { smallestGatewayBucket } from '../protocol/network/sizes.ts'
import { openChunkedResponse, sealChunkedRequest } from '../protocol/ohttp/chunked.ts'
import type { OhttpKey } from '../protocol/ohttp/keys.ts'
import { OHTTP_KEY_PROBLEM, ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { padRequest } from '../protocol/padding.ts'
import { StaleKeyError, UnsealedAnswerError } from './errors.ts'
import { parseJson } from './respond.ts'
import { readAll, type Transport } from './transport.ts'

/** The largest answer that is taken, in bytes on the wire. In cells each token takes a kilobyte. */
const mostAnswer = 1024 * 1024 * 1024

/** An answer that was sealed for this request alone. */
export type SealedResponse = {
  readonly status: number
  readonly headers: readonly Field[]
  /** The content in pieces, then the trailers. Throws when the answer is not what was sent, or stops. */
  readonly content: AsyncGenerator<Uint8Array, readonly Field[], undefined>
  /** Bytes of the answer as the relay saw them so far. */
  readonly received: () => number
}

/** Bytes of a request as the relay sees it, with the answer to it. */
export type Sent = { readonly outer: number; readonly response: SealedResponse }

/**
 * Sends one request, sealed and padded, to a gateway through a relay.
 *
 * @throws {TransportError} when the relay was not reached
 * @throws {StaleKeyError} when the gateway did not open it
 * @throws {UnsealedAnswerError} when the relay answered itself
 * @throws BrokenStreamError, DecryptionError, MalformedMessageError when the answer was tampered with
 */
export async function sendSealed(parameters: {
  readonly transport: Transport
  /** The relay's URL for that gateway. */
  readonly url: string
  readonly key: OhttpKey
  readonly request: BinaryRequest
  readonly firstByte: number
  readonly idle: number
  readonly signal?: AbortSignal | undefined
}): Promise<Sent> {
  const { transport, url, key, request, firstByte, idle, signal } = parameters
  const { sealer, exchange } = await sealChunkedRequest(key)
  const body = await sealer.end(padRequest(encodeRequest(request), smallestGatewayBucket))
  const answer = await transport({
    url,
    method: 'POST',
    headers: { 'content-type': ohttpMediaTypes.chunkedRequest },
    body,
    firstByte,
    idle,
    signal,
  })
  if (answer.status !== 200 || mediaType(answer.contentType) !== ohttpMediaTypes.chunkedResponse) {
    const text = await readAll(url, answer, 65_536)
    throw refusedInClear(answer.status, mediaType(answer.contentType), text)
  }

  let received = 0
  const opener = openChunkedResponse(exchange, { maxMessageBytes: mostAnswer })
  const decoder = new BinaryHttpDecoder('response', {
    maxContentBytes: mostAnswer,
    maxPaddingBytes: mostAnswer,
  })
  async function* read(): AsyncGenerator<BinaryHttpEvent[]> {
    for await (const bytes of answer.body) {
      received += bytes.length
      const events: BinaryHttpEvent[] = []
      for (const chunk of await opener.push(bytes)) events.push(...decoder.push(chunk))
      if (events.length > 0) yield events
    }
    // Here the final marker is checked: what came so far is whole, or this throws.
    const last = decoder.push(await opener.end())
    last.push(...decoder.end())
    yield last
  }

  const events = read()
  let waiting: BinaryHttpEvent[] = []
  let head: Extract<BinaryHttpEvent, { type: 'response' }> | undefined
  while (head === undefined) {
    const { done, value } = await events.next()
    if (done === true) throw new MalformedMessageError('is no response')
    const at = value.findIndex(({ type }) => type === 'response')
    if (at < 0) continue
    head = value[at] as typeof head
    waiting = value.slice(at + 1)
  }

  async function* content(): AsyncGenerator<Uint8Array, readonly Field[], undefined> {
    try {
      for (let batch: BinaryHttpEvent[] | undefined = waiting; batch !== undefined; ) {
        const bytes = batch.flatMap((event) => (event.type === 'content' ? [event.bytes] : []))
        if (bytes.length > 0) yield bytes.length === 1 && bytes[0] ? bytes[0] : Buffer.concat(bytes)
        for (const event of batch) if (event.type === 'end') return event.trailers
        const { done, value }: IteratorResult<BinaryHttpEvent[], void> = await events.next()
        batch = done === true ? undefined : value
      }
      throw new MalformedMessageError('has no end')
    } finally {
      await events.return(undefined)
    }
  }
  return {
    outer: body.length,
    response: { status: head.status, headers: head.headers, content: content(), received: () => received },
  }
}

const mediaType = (value: string): string => (value.split(';')[0] ?? '').trim().toLowerCase()

function refusedInClear(status: number, type: string, body: Buffer): StaleKeyError | UnsealedAnswerError {
  const parsed = parseJson(body)
  // A gateway answers what does not open with an empty 400, and a key that it does not have with the problem.
  if (status === 400 && body.length === 0) return new StaleKeyError()
  if (
    type === 'application/problem+json' &&
    typeof parsed === 'object' &&
    (parsed as { type?: unknown } | null)?.type === OHTTP_KEY_PROBLEM
  )
    return new StaleKeyError()
  const problem = problemSchema.safeParse(parsed)
  const code = problem.success ? problem.data.error.code : null
  // The text is a stranger's: only a code that looks like one is kept.
  return new UnsealedAnswerError(status, code !== null && /^[a-z_]{1,40}$/.test(code) ? code : null)
}

/** The value of a field, by its name in lower case. */
export const fieldOf = (fields: readonly Field[], name: string): string | undefined =>
  fields.find(([each]) => each.toLowerCase() === name)?.[1]
