import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ListenError } from './errors.ts'

/** A server that listens. */
export type Listening = {
  readonly server: Server
  /** Such as `http://127.0.0.1:41231`, without a slash at its end. */
  readonly url: string
  /** Takes no more connections, gives open requests `grace` milliseconds to end (none when absent), then cuts them. */
  close(grace?: number): Promise<void>
}

export type ListenOptions = {
  /** Names the server in errors, such as `relay`. */
  readonly what: string
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
}

/**
 * Serves HTTP/1.1 with the limits that a server on a network needs: heads of 16 KiB that arrive within ten seconds.
 * Time-outs of bodies and answers are the handler's own.
 *
 * @throws {ListenError}
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<Listening> {
  const { what, host = '127.0.0.1', port = 0 } = options
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 0, maxHeaderSize: 16_384, noDelay: true },
    handler,
  )
  // An idle connection is the client's to close: were it closed here while the client's event loop is busy, the
  // next request on it would fail for no reason of its own.
  server.keepAliveTimeout = 65_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(what, host, port, error)))
    server.listen(port, host, resolve)
  })
  const { port: bound, family, address } = server.address() as AddressInfo
  const shown = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address
  return {
    server,
    url: `http://${family === 'IPv6' && shown === address ? `[${shown}]` : shown}:${bound}`,
    close: (grace = 0) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), grace)
        server.close(() => {
          clearTimeout(cut)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}
