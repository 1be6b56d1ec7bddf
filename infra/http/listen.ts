import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ListenError } from './errors.ts'

/** A server that listens. */
export type Listening = {
  readonly server: Server
  /** Such as `http://127.0.0.1:41231`, without a slash at its end. */
  readonly url: string
  /** Whether {@link close} was called: connections that are still open may bring requests, to be refused. */
  readonly closing: boolean
  /**
   * Takes no more connections, gives open requests `grace` milliseconds to end (none when absent), then cuts them.
   * Called again, it shortens the grace.
   */
  close(grace?: number): Promise<void>
}

export type ListenOptions = {
  /** Names the server in errors, such as `relay`. */
  readonly what: string
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** Milliseconds in which a head has to arrive, from the first byte or the connection on; 10,000 by default. */
  readonly headTimeout?: number
}

/**
 * Serves HTTP/1.1 with the limits that a server on a network needs: heads of 16 KiB that arrive in time. Time-outs of
 * bodies and answers are the handler's own.
 *
 * @throws {ListenError}
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<Listening> {
  const { what, host = '127.0.0.1', port = 0, headTimeout = 10_000 } = options
  const server = createServer(
    {
      headersTimeout: headTimeout,
      // Heads are looked at this often, so that one is cut at most a fifth late.
      connectionsCheckingInterval: headTimeout / 5,
      requestTimeout: 0,
      maxHeaderSize: 16_384,
      noDelay: true,
    },
    handler,
  )
  // An idle connection is the client's to close: were it closed here while the client's event loop is busy, the
  // next request on it would fail for no reason of its own.
  server.keepAliveTimeout = 65_000
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error) => reject(new ListenError(what, host, port, error))
    server.once('error', refuse)
    server.listen(port, host, () => {
      // From here on an error is a connection that could not be accepted, for want of descriptors mostly. The
      // client sees it; a server that ended over it would take all others with it.
      server.off('error', refuse).on('error', () => undefined)
      resolve()
    })
  })
  const { port: bound, family, address } = server.address() as AddressInfo
  const shown = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address
  let closed: Promise<void> | undefined
  return {
    server,
    url: `http://${family === 'IPv6' && shown === address ? `[${shown}]` : shown}:${bound}`,
    get closing() {
      return closed !== undefined
    },
    async close(grace = 0) {
      closed ??= new Promise((resolve) => {
        // Connections whose request ends in the grace would otherwise be kept for the next one.
        const sweep = setInterval(() => server.closeIdleConnections(), 20)
        server.close(() => {
          clearInterval(sweep)
          resolve()
        })
        server.closeIdleConnections()
      })
      const cut = setTimeout(() => server.closeAllConnections(), grace)
      await closed
      clearTimeout(cut)
    },
  }
}
