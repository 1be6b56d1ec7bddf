import { ByteQueue } from '../binary/byteQueue.ts'
import { bytesToByteString, isZero } from '../binary/bytes.ts'
import { varintValue } from '../binary/varint.ts'
import { MalformedMessageError, MessageTooLargeError, TruncatedMessageError } from '../errors.ts'
import { type Field, framingIndicator, type InformationalResponse, type RequestControl } from './message.ts'
import { controlProblem, fieldProblem, statusProblem } from './rules.ts'

/** What a {@link BinaryHttpDecoder} found, in the order of the message. */
export type BinaryHttpEvent =
  | (RequestControl & { readonly type: 'request'; readonly headers: readonly Field[] })
  | (InformationalResponse & { readonly type: 'informational' })
  | { readonly type: 'response'; readonly status: number; readonly headers: readonly Field[] }
  /** A piece of the content, as it arrived: where it was cut means nothing. */
  | { readonly type: 'content'; readonly bytes: Uint8Array }
  /** The message is complete and valid. Comes last, once, from {@link BinaryHttpDecoder.end}. */
  | { readonly type: 'end'; readonly trailers: readonly Field[] }

/** What a decoder takes at most, in bytes. */
export type BinaryHttpLimits = {
  /** Control data, informational responses, headers and trailers together. 64 KiB by default. */
  readonly maxHeadBytes?: number
  /** The content. 16 MiB by default. */
  readonly maxContentBytes?: number
  /** The padding. 16 MiB by default. */
  readonly maxPaddingBytes?: number
}

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** A step of the parser: `yield` waits for more bytes. */
type Parse<T> = Generator<undefined, T, undefined>

/**
 * Decodes one Binary HTTP message as its bytes arrive (RFC 9292), of known or of indeterminate length.
 *
 * It holds back no content, buffers no more than one field line, and does work in proportion to the bytes,
 * however they are cut. After it threw, it throws the same error again.
 *
 * Truncation (section 3.8): "If the trailers of a message are empty, they MAY be omitted by the encoder in
 * place of adding a length field equal to zero. An encoder MAY omit empty content in the same way if the
 * trailers are also empty." A message may therefore end before a section, never within one.
 *
 * @example
 * const decoder = new BinaryHttpDecoder('response')
 * for await (const bytes of plaintext) for (const event of decoder.push(bytes)) handle(event)
 * for (const event of decoder.end()) handle(event) // 'end' with the trailers, or a throw
 */
export class BinaryHttpDecoder {
  readonly #queue = new ByteQueue()
  readonly #expected: 'request' | 'response'
  readonly #limits: Required<BinaryHttpLimits>
  readonly #parser: Parse<void>
  #events: BinaryHttpEvent[] = []
  #headBytes = 0
  #contentBytes = 0
  #ended = false
  #failure: { readonly error: unknown } | undefined

  /** @param expected which kind of message this is; the other kind is malformed */
  constructor(expected: 'request' | 'response', limits: BinaryHttpLimits = {}) {
    this.#expected = expected
    this.#limits = {
      maxHeadBytes: limits.maxHeadBytes ?? 64 * kibibyte,
      maxContentBytes: limits.maxContentBytes ?? 16 * mebibyte,
      maxPaddingBytes: limits.maxPaddingBytes ?? 16 * mebibyte,
    }
    this.#parser = this.#message()
  }

  /**
   * Takes the next bytes and returns what they complete.
   *
   * @throws MalformedMessageError, MessageTooLargeError
   */
  push(bytes: Uint8Array): BinaryHttpEvent[] {
    if (this.#ended && this.#failure === undefined)
      this.#failure = { error: new MalformedMessageError('goes on behind its end') }
    this.#queue.push(bytes)
    return this.#advance()
  }

  /**
   * Says that no bytes follow. The last event is `end`.
   *
   * @throws TruncatedMessageError if the message stops within a section
   * @throws MalformedMessageError, MessageTooLargeError
   */
  end(): BinaryHttpEvent[] {
    this.#ended = true
    return this.#advance()
  }

  #advance(): BinaryHttpEvent[] {
    if (this.#failure !== undefined) throw this.#failure.error
    try {
      this.#parser.next()
    } catch (error) {
      this.#failure = { error }
      throw error
    }
    const events = this.#events
    this.#events = []
    return events
  }

  *#message(): Parse<void> {
    const indicator = yield* this.#varint('its framing indicator')
    const known = indicator === framingIndicator.knownRequest || indicator === framingIndicator.knownResponse
    const isRequest =
      indicator === framingIndicator.knownRequest || indicator === framingIndicator.indeterminateRequest
    if (indicator > framingIndicator.indeterminateResponse)
      throw new MalformedMessageError('has an unknown framing indicator')
    if (isRequest !== (this.#expected === 'request'))
      throw new MalformedMessageError(`is not a ${this.#expected}`)
    if (isRequest) yield* this.#requestHead(known)
    else yield* this.#responseHead(known)
    yield* known ? this.#knownContent() : this.#indeterminateContent()
    const trailers = yield* this.#fields('trailers', known)
    yield* this.#padding()
    this.#events.push({ type: 'end', trailers })
  }

  /** `Method Length (i), Method (..), Scheme Length (i), Scheme (..), Authority ..., Path ...`, then headers. */
  *#requestHead(known: boolean): Parse<void> {
    const method = yield* this.#text('its control data')
    const scheme = yield* this.#text('its control data')
    const authority = yield* this.#text('its control data')
    const path = yield* this.#text('its control data')
    refuse(controlProblem({ method, scheme, authority, path }))
    const headers = yield* this.#fields('headers', known)
    this.#events.push({ type: 'request', method, scheme, authority, path, headers })
  }

  /** Any number of `Status Code (i) = 100..199` with headers, then `Status Code (i) = 200..599` with headers. */
  *#responseHead(known: boolean): Parse<void> {
    for (;;) {
      const status = yield* this.#varint('its status')
      if (statusProblem(status, 'informational') === undefined) {
        // More must follow an informational response, so its headers cannot be left out.
        if (yield* this.#atEnd()) throw new TruncatedMessageError('an informational response')
        const headers = yield* this.#fields('headers', known)
        this.#events.push({ type: 'informational', status, headers })
        continue
      }
      refuse(statusProblem(status, 'final'))
      const headers = yield* this.#fields('headers', known)
      this.#events.push({ type: 'response', status, headers })
      return
    }
  }

  /** `Content Length (i), Content (..)`. */
  *#knownContent(): Parse<void> {
    if (yield* this.#atEnd()) return
    yield* this.#content(yield* this.#varint('the length of its content', 'content'))
  }

  /** Any number of `Chunk Length (i) = 1.., Chunk (..)`, then `Content Terminator (i) = 0`. */
  *#indeterminateContent(): Parse<void> {
    if (yield* this.#atEnd()) return
    for (;;) {
      const length = yield* this.#varint('its content', 'content')
      if (length === 0) return
      yield* this.#content(length)
    }
  }

  *#content(length: number): Parse<void> {
    const limit = this.#limits.maxContentBytes
    this.#contentBytes += length
    if (this.#contentBytes > limit) throw new MessageTooLargeError('content', limit)
    for (let missing = length; missing > 0; ) {
      const bytes = this.#queue.takeSome(missing)
      if (bytes === undefined) {
        yield* this.#more('its content')
      } else {
        missing -= bytes.length
        this.#events.push({ type: 'content', bytes })
      }
    }
  }

  /** A field section: of a known length in bytes, or up to a name of length 0. */
  *#fields(section: 'headers' | 'trailers', known: boolean): Parse<Field[]> {
    if (yield* this.#atEnd()) return []
    const where = `its ${section}`
    const fields: Field[] = []
    if (known) {
      const length = yield* this.#varint(where)
      this.#checkHead(length)
      const end = this.#headBytes + length
      while (this.#headBytes < end) {
        const name = yield* this.#text(where, end)
        const value = yield* this.#text(where, end)
        fields.push([name, value])
      }
    } else {
      for (;;) {
        const name = yield* this.#text(where)
        if (name.length === 0) break
        fields.push([name, yield* this.#text(where)])
      }
    }
    refuse(fieldProblem(fields, section))
    return fields
  }

  /** Zeros up to the end: "Non-zero padding bytes cause a message to be invalid". */
  *#padding(): Parse<void> {
    const limit = this.#limits.maxPaddingBytes
    let length = 0
    while (!(yield* this.#atEnd())) {
      const bytes = this.#queue.takeSome(Number.MAX_SAFE_INTEGER)
      if (bytes === undefined) continue
      if (!isZero(bytes)) throw new MalformedMessageError('has padding that is not zero')
      length += bytes.length
      if (length > limit) throw new MessageTooLargeError('padding', limit)
    }
  }

  /** Waits for a byte; whether the message ends here instead. */
  *#atEnd(): Parse<boolean> {
    while (this.#queue.length === 0) {
      if (this.#ended) return true
      yield
    }
    return false
  }

  /** Waits for more bytes, within a part that cannot be left out. */
  *#more(what: string): Parse<void> {
    if (this.#ended) throw new TruncatedMessageError(what)
    yield
  }

  /** @param budget what its bytes count against: content has a limit of its own */
  *#varint(what: string, budget: 'head' | 'content' = 'head'): Parse<number> {
    let encoding = this.#queue.takeVarint()
    while (encoding === undefined) {
      yield* this.#more(what)
      encoding = this.#queue.takeVarint()
    }
    if (budget === 'head') this.#countHead(encoding.length)
    const value = varintValue(encoding)
    if (value === undefined) throw new MessageTooLargeError('a length', Number.MAX_SAFE_INTEGER)
    return value
  }

  /**
   * A byte string behind its length.
   *
   * @param end where the section ends that it must stay within, counted in bytes of heads
   */
  *#text(what: string, end = Number.POSITIVE_INFINITY): Parse<string> {
    const length = yield* this.#varint(what)
    this.#checkHead(length)
    if (this.#headBytes + length > end) throw new MalformedMessageError(`has a field that overruns ${what}`)
    let bytes = this.#queue.take(length)
    while (bytes === undefined) {
      yield* this.#more(what)
      bytes = this.#queue.take(length)
    }
    this.#headBytes += length
    return bytesToByteString(bytes)
  }

  #countHead(length: number): void {
    this.#checkHead(length)
    this.#headBytes += length
  }

  #checkHead(length: number): void {
    const limit = this.#limits.maxHeadBytes
    if (this.#headBytes + length > limit) throw new MessageTooLargeError('a head', limit)
  }
}

function refuse(problem: string | undefined): void {
  if (problem !== undefined) throw new MalformedMessageError(problem)
}
