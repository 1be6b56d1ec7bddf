import { connect, createServer, isIPv4, type Socket } from 'node:net'

/** A connection between two roles, as whoever sits at either end of it sees it. */
export type Connection = {
  /** Such as `client-relay`: who connects, then who listens. */
  readonly link: string
  /** The address that the connection came from, as the one who listens sees it. */
  readonly from: string
  readonly events: TapEvent[]
}

/** Bytes that arrived together. */
export type TapEvent = {
  /** `up` is from whoever connected. */
  readonly direction: 'up' | 'down'
  /** Milliseconds on the clock of `performance.now()`. */
  readonly at: number
  readonly bytes: Uint8Array
}

export type Tap = {
  /** Connect here instead of at the target. */
  readonly url: string
  readonly connections: readonly Connection[]
  /** Where to pass on to, such as `http://127.0.0.1:41231`; until it is set, connections are refused. */
  aim(url: string): void
  close(): Promise<void>
}

/**
 * A pass-through proxy that keeps every byte of a link with its time and the address of the peer. What goes on is
 * sent from the address that it came from, so that the role behind the tap sees what it would see without it.
 */
export async function startTap(link: string): Promise<Tap> {
  const connections: Connection[] = []
  const open = new Set<Socket>()
  let target: { readonly host: string; readonly port: number } | undefined

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (target === undefined) return void client.destroy()
    const from = client.remoteAddress ?? ''
    const connection: Connection = { link, from, events: [] }
    connections.push(connection)
    const behind = connect({
      ...target,
      ...(isIPv4(from) ? { localAddress: from } : {}),
      allowHalfOpen: true,
      noDelay: true,
    })
    pass(client, behind, connection, 'up')
    pass(behind, client, connection, 'down')
  })

  function pass(from: Socket, to: Socket, connection: Connection, direction: TapEvent['direction']): void {
    open.add(from)
    from.on('data', (bytes: Buffer) => {
      connection.events.push({ direction, at: performance.now(), bytes: Uint8Array.from(bytes) })
      if (!to.write(bytes)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
    })
    from.on('end', () => to.end())
    // What breaks one side is for the other to see, not for the tap to judge.
    from.on('error', () => to.destroy())
    from.on('close', () => {
      open.delete(from)
      if (from.errored !== null || !from.readableEnded) to.destroy()
    })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    connections,
    aim(url) {
      const { hostname, port: to } = new URL(url)
      target = { host: hostname, port: Number(to) }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}
