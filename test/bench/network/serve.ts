import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Part } from './part.ts'

/** Serves HTTP on a free port of loopback, with nothing that could be left out. */
export async function serve(handler: RequestListener): Promise<Part> {
  const server = createServer({ noDelay: true, keepAliveTimeout: 65_000 }, handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
