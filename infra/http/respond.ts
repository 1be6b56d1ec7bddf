import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * Answers with a whole body.
 *
 * @param status from 400 on, the connection is closed where the request's body may not have been read to its end
 */
export function respond(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string | Uint8Array = '',
): void {
  if (response.headersSent || response.destroyed) return
  const unread = !response.req.complete
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(unread ? { connection: 'close' } : {}),
    ...headers,
  })
  response.end(body)
}

/** Answers with JSON. */
export const respondJson = (response: ServerResponse, status: number, body: unknown): void =>
  respond(response, status, { 'content-type': 'application/json' }, JSON.stringify(body))
