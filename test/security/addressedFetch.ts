import { Agent, request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'

/**
 * A `fetch` whose connections come from an address that its caller names, as a machine of its own would, with headers
 * that no client of ours would send.
 *
 * @param addressOf the local address of connections to a URL
 * @param headers are added to every request
 */
export function fetchFrom(
  addressOf: (url: URL) => string,
  headers: Readonly<Record<string, string>> = {},
): typeof globalThis.fetch & { readonly close: () => void } {
  const agents = new Map<string, Agent>()
  const agentFor = (localAddress: string): Agent => {
    const known = agents.get(localAddress) ?? new Agent({ keepAlive: true, localAddress })
    agents.set(localAddress, known)
    return known
  }
  const fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    return new Promise<Response>((resolve, reject) => {
      const request = httpRequest(url, {
        method: init.method ?? 'GET',
        agent: agentFor(addressOf(url)),
        headers: { ...headers, ...Object.fromEntries(new Headers(init.headers)) },
        ...(init.signal ? { signal: init.signal } : {}),
      })
      request.once('error', reject)
      request.once('response', (message) => {
        resolve(
          new Response(Readable.toWeb(message) as ReadableStream<Uint8Array>, {
            status: message.statusCode ?? 500,
            headers: { 'content-type': message.headers['content-type'] ?? '' },
          }),
        )
      })
      request.end(init.body)
    })
  }
  return Object.assign(fetch, {
    close: () => {
      for (const agent of agents.values()) agent.destroy()
    },
  })
}
