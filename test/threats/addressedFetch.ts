import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'

/** A `fetch` whose connections come from an address of one's own, with what ends them. */
export type AddressedFetch = { readonly fetch: typeof globalThis.fetch; close(): void }

/**
 * Makes a `fetch` for clients that live at an address of the loopback net. It does what the network's client asks of
 * one: a method, headers, a body in one piece, and a signal.
 */
export function createAddressedFetch(localAddress: string): AddressedFetch {
  const agent = new Agent({ keepAlive: true, noDelay: true, localAddress })
  const fetch: typeof globalThis.fetch = (input, init = {}) => {
    const { method = 'GET', headers = {}, body, signal } = init
    return new Promise((resolve, reject) => {
      const bytes = body === undefined || body === null ? undefined : Buffer.from(body as Uint8Array)
      const request = httpRequest(String(input), {
        agent,
        method,
        headers: {
          ...(headers as Record<string, string>),
          ...(bytes === undefined ? {} : { 'content-length': bytes.length }),
        },
        ...(signal === undefined || signal === null ? {} : { signal }),
      })
      request.once('response', (response) => resolve(toResponse(response)))
      request.once('error', reject)
      request.end(bytes)
    })
  }
  return { fetch, close: () => agent.destroy() }
}

const toResponse = (response: IncomingMessage): Response =>
  new Response(Readable.toWeb(response) as ReadableStream, {
    status: response.statusCode ?? 0,
    headers: Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]),
  })

/** Whether connections can come from any address of 127.0.0.0/8, as on Linux; elsewhere each would have to be set up. */
export const hasLoopbackNet = (): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(0, '127.0.0.11', () => server.close(() => resolve(true)))
  })
