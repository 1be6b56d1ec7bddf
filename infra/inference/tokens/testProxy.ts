import { createServer, connect as openSocket, type Server, type Socket } from 'node:net'
import { InvariantError } from '../../../runtime/core/errors.ts'

/** A way to a server that can be cut, for tests. */
export type TestProxy = {
  readonly port: number
  /** Breaks all connections and refuses new ones. */
  cut(): Promise<void>
  /** Lets connections through again, on the same port. */
  mend(): Promise<void>
  /**
   * From now on the server is asked and its answers get lost; resolves with the first, and then the way is cut.
   */
  cutAtAnswer(): Promise<void>
  close(): Promise<void>
}

/** @param target port of the server, on the same machine */
export async function openTestProxy(target: number): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  let server: Server | null = null
  let onAnswer: (() => void) | null = null

  function join(client: Socket): void {
    const upstream = openSocket(target, '127.0.0.1')
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (data) => upstream.write(data))
    upstream.on('data', (data) => (onAnswer === null ? client.write(data) : onAnswer()))
  }

  async function listen(port: number): Promise<number> {
    const opened = createServer(join)
    server = opened
    await new Promise<void>((resolve, reject) => {
      opened.once('error', reject)
      opened.listen(port, '127.0.0.1', resolve)
    })
    const address = opened.address()
    if (address === null || typeof address === 'string') throw new InvariantError('A proxy has a port.')
    return address.port
  }

  async function cut(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      server === null ? resolve() : server.close(() => resolve()),
    )
    server = null
    for (const socket of sockets) socket.destroy()
    await closed
  }

  const port = await listen(0)
  return {
    port,
    cut,
    mend: async () => {
      await listen(port)
    },
    cutAtAnswer: () =>
      new Promise((resolve) => {
        onAnswer = () => {
          onAnswer = null
          resolve(cut())
        }
      }),
    close: cut,
  }
}
