import { createServer } from 'node:net'
import { ListenError } from './errors.ts'

/**
 * A port of 127.0.0.1 that nobody listens on: for two servers that have to know each other's address. Somebody else
 * may take it before it is used, so whoever uses it has to cope with a {@link ListenError}.
 *
 * @throws {ListenError} when there is none
 */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => reject(new ListenError('port', '127.0.0.1', 0, error)))
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
