import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, type RequestListener, request } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach } from 'vitest'
import { listen } from '../../http/listen.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import { type Relay, type RelayOptions, startRelay } from './startRelay.ts'

/** What a test started, ended after it in reverse order. */
const started: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const end of started.splice(0).reverse()) await end()
})

/** Starts a gateway that answers as it is told. */
export async function startGateway(handler: RequestListener, host = '127.0.0.1'): Promise<string> {
  const listening = await listen(handler, { what: 'gateway', host })
  started.push(() => listening.close())
  return listening.url
}

/** Starts something on a port that is no HTTP server, or a bad one. */
export async function startTcp(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  started.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Starts a relay with one gateway, `main`. */
export async function relayTo(
  gateway: string,
  limits: RelayOptions['limits'] = {},
  more: Partial<RelayOptions> = {},
): Promise<Relay> {
  const relay = await startRelay({ gateways: { main: gateway }, limits, ...more })
  started.push(() => relay.close())
  return relay
}

/** A URL on which nobody listens. */
export async function unusedUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `http://127.0.0.1:${port}`
}

export const headers = { 'content-type': ohttpMediaTypes.chunkedRequest }

/** Sends a whole request. */
export const post = (relay: Relay, body: Uint8Array | string = 'sealed', more: Record<string, string> = {}) =>
  fetch(`${relay.url}/gateways/main`, { method: 'POST', body, headers: { ...headers, ...more } })

/** The stable word of a problem. */
export const codeOf = async (answer: Response): Promise<string> =>
  ((await answer.json()) as { error: { code: string } }).error.code

/** Begins a request whose body is sent piece by piece, on a connection of its own. */
export function begin(relay: Relay, more: Record<string, string> = {}): ClientRequest {
  const agent = new Agent()
  started.push(() => agent.destroy())
  const sending = request(`${relay.url}/gateways/main`, {
    method: 'POST',
    headers: { ...headers, ...more },
    agent,
  })
  sending.on('error', () => undefined)
  return sending
}

/** The answer to a request that was begun. */
export async function answerTo(sending: ClientRequest): Promise<IncomingMessage> {
  const [answer] = await once(sending, 'response')
  return answer
}

/** Reads a stream until it has ended, or broken off. */
export async function readAll(stream: IncomingMessage): Promise<{ body: Buffer; isWhole: boolean }> {
  const parts: Buffer[] = []
  try {
    for await (const part of stream) parts.push(part)
  } catch {
    return { body: Buffer.concat(parts), isWhole: false }
  }
  return { body: Buffer.concat(parts), isWhole: stream.complete }
}
