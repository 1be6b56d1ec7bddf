import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { cutStalled } from './stall.ts'

/** Milliseconds in which the reader of a whole answer has to take some of it. */
const READER_STALL = 30_000

/** Milliseconds for which the rest of a request is read that was answered before its end. */
const LINGER = 2_000

/**
 * Answers with a whole body; does nothing when an answer has begun or the client is gone.
 *
 * The rest of a request that was not read to its end is read and thrown away ({@link discardRest}).
 */
export function respond(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string | Uint8Array = '',
): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...headers,
  })
  response.end(body)
  cutStalled(response, READER_STALL)()
  discardRest(response.req)
}

/** Answers with JSON. */
export const respondJson = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void => respond(response, status, { 'content-type': 'application/json', ...headers }, JSON.stringify(body))

/**
 * Reads and throws away what is left of a request, for a moment, and then ends its connection. A client that is cut
 * off while it sends sees a reset, and may never read why (RFC 9112, section 9.6); one that is done within the moment
 * keeps its connection.
 *
 * @param milliseconds 2,000 by default
 */
export function discardRest(request: IncomingMessage, milliseconds = LINGER): void {
  if (request.readableEnded || request.destroyed) return
  request.removeAllListeners('data').resume()
  if (request.complete) return
  const cut = setTimeout(() => request.socket.destroy(), milliseconds)
  request.once('close', () => clearTimeout(cut))
}
