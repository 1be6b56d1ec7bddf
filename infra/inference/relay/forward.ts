import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { discardRest } from '../../http/respond.ts'
import { cutStalled } from '../../http/stall.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { GatewayConnectError } from './errors.ts'
import type { Gateway } from './gateways.ts'
import type { RelayLimits } from './limits.ts'
import { type RefusalCode, refuse } from './refusals.ts'
import type { Watchdog } from './watchdog.ts'

/** What became of an exchange. Together with the refusals that is all that is counted of it. */
export type Outcome = 'ok' | 'client_gone' | 'reader_stalled' | 'answer_cut' | RefusalCode

/** The two media types that are passed on, by what a client may write for them. */
const taken = new Map<string, string>([
  [ohttpMediaTypes.request, ohttpMediaTypes.request],
  [ohttpMediaTypes.chunkedRequest, ohttpMediaTypes.chunkedRequest],
])

/** What comes of a content type: the constant, so that not even its spelling is passed on. */
const takenType = (field: string | undefined): string | undefined =>
  field === undefined ? undefined : (taken.get(field) ?? taken.get(field.trim().toLowerCase()))

/**
 * Passes one request on to a gateway and its answer back, both as they come, and each side no faster than the other
 * takes it.
 *
 * `pipe` would not do: it passes no close on, and ends what was cut. Here whichever side breaks off, the other is
 * broken off too, so that a client never takes a part for the whole.
 *
 * @param onFirstByte called when the answer began
 * @param onEnd called once, when nothing of the exchange is left
 */
export function forward(
  request: IncomingMessage,
  response: ServerResponse,
  parameters: {
    readonly gateway: Gateway
    readonly limits: RelayLimits
    readonly watchdog: Watchdog
    readonly onFirstByte: () => void
    readonly onEnd: (outcome: Outcome) => void
  },
): void {
  const { gateway, limits, watchdog, onFirstByte, onEnd } = parameters
  let outcome: Outcome = 'ok'
  let upstream: ClientRequest | undefined
  let answer: IncomingMessage | undefined
  let received = 0
  const began = performance.now()

  const watch = watchdog.watch(() => {
    if (answer !== undefined) cut('answer_cut')
    else fail(request.readableEnded || request.isPaused() ? 'gateway_timeout' : 'body_stalled')
  })

  response.on('close', () => {
    watch.end()
    if (!response.writableFinished && outcome === 'ok') outcome = 'client_gone'
    if (upstream !== undefined && !(answer?.complete === true && upstream.writableFinished))
      upstream.destroy()
    onEnd(outcome)
  })

  /** Breaks an answer off that has begun: the client sees that its end is missing. */
  function cut(why: Outcome): void {
    if (outcome === 'ok') outcome = why
    // To HTTP/1.0 the end of the connection is the end of the answer, so this must not look like one.
    if (request.httpVersionMinor === 0) response.socket?.resetAndDestroy()
    response.destroy()
  }

  /** Refuses, or breaks off what has begun. */
  function fail(code: RefusalCode): void {
    if (response.headersSent) cut(code)
    else if (outcome === 'ok' && !response.destroyed) {
      outcome = code
      watch.end()
      upstream?.destroy()
      refuse(response, code, code === 'too_large' ? { limit: { bytes: limits.requestLength } } : {})
    }
  }

  const type = takenType(request.headers['content-type'])
  const length = request.headers['content-length']
  if (type === undefined || (length !== undefined && Number(length) > limits.requestLength)) {
    fail(type === undefined ? 'media_type' : 'too_large')
    return
  }

  const sending = gateway.request({
    ...gateway.target,
    // A list is written as it is, so this is all that the gateway gets to see. `Connection` is added, and
    // `Transfer-Encoding` where the length is not known.
    headers: [
      'host',
      gateway.authority,
      'content-type',
      type,
      ...(length === undefined ? [] : ['content-length', String(Number(length))]),
    ],
  })
  upstream = sending
  watch.due(limits.uploadStall)

  const resumeUpload = () => {
    if (answer === undefined) watch.due(limits.uploadStall)
    request.resume()
  }
  request.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (received > limits.requestLength) return fail('too_large')
    const elapsed = performance.now() - began - limits.uploadStall
    if (elapsed > 0 && (received / limits.slowestUpload) * 1_000 < elapsed) return fail('body_stalled')
    if (sending.write(chunk)) {
      if (answer === undefined) watch.due(limits.uploadStall)
    } else {
      request.pause()
      if (answer === undefined) watch.due(limits.firstByte)
      sending.once('drain', resumeUpload)
    }
  })
  request.on('end', () => {
    sending.end()
    if (answer === undefined) watch.due(limits.firstByte)
  })

  sending.on('error', (error) => {
    // Once the answer has begun, only the answer tells whether it is whole: a gateway that refuses a request before
    // its end may well close the connection while the rest is sent.
    if (answer === undefined)
      fail(error instanceof GatewayConnectError ? 'gateway_timeout' : 'gateway_unreachable')
  })
  sending.on('close', () => {
    // Without an error, too, where the gateway changes the protocol.
    if (answer === undefined) fail('gateway_unreachable')
  })
  sending.on('response', (incoming) => {
    const { statusCode = 0, headers } = incoming
    // The parser lets any three digits pass; what is no status cannot be passed on.
    if (outcome !== 'ok' || statusCode < 200 || statusCode > 599) {
      incoming.destroy()
      return fail('gateway_unreachable')
    }
    answer = incoming
    onFirstByte()
    passBack(incoming, statusCode, headers['content-type'], headers['content-length'])
  })

  function passBack(
    incoming: IncomingMessage,
    status: number,
    contentType: string | undefined,
    contentLength: string | undefined,
  ): void {
    watch.due(limits.silence)
    const head: string[] = []
    if (contentType !== undefined) head.push('content-type', contentType)
    if (contentLength !== undefined) head.push('content-length', contentLength)
    response.writeHead(status, head)
    const written = cutStalled(response, limits.readerStall, () => cut('reader_stalled'))
    const resumeAnswer = () => {
      watch.due(limits.silence)
      incoming.resume()
    }
    incoming.on('data', (chunk: Buffer) => {
      if (response.write(chunk)) return watch.due(limits.silence)
      // While the reader is waited for, the gateway has no time to keep.
      watch.due(Number.POSITIVE_INFINITY)
      incoming.pause()
      written()
      response.once('drain', resumeAnswer)
    })
    incoming.on('end', () => {
      watch.due(Number.POSITIVE_INFINITY)
      response.end()
      written()
      // A gateway that answers before the end of a request wants no more of it.
      if (!sending.writableEnded) sending.destroy()
      discardRest(request)
    })
    incoming.on('close', () => {
      if (!incoming.complete) cut('answer_cut')
    })
    incoming.on('error', () => cut('answer_cut'))
    sendHead(incoming, response)
  }
}

/**
 * Sends the head now, and not only with the first bytes of the body, which a gateway may wait long for; but what is
 * there already goes with it, in one write: each costs as much as all that a relay does besides.
 */
function sendHead(incoming: IncomingMessage, response: ServerResponse): void {
  const { socket } = response
  socket?.cork()
  response.flushHeaders()
  let turns = 0
  const send = () => {
    // An answer that has arrived as a whole is read within the next turns.
    if (incoming.complete && !response.writableEnded && turns++ < MOST_TURNS) process.nextTick(send)
    else socket?.uncork()
  }
  process.nextTick(send)
}

/** Turns of the tick queue within which an answer that is complete has been read, if the client takes it at all. */
const MOST_TURNS = 4
