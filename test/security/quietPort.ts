import { createServer } from 'node:net'
import { InvariantError } from '../../runtime/core/errors.ts'

/** The range below the one that systems take for outgoing connections. */
const FIRST = 15_000
const LAST = 31_999

/**
 * A port that nobody listens on, and that no outgoing connection takes: a process that is killed and started again
 * finds it free, as one that the system picks for a listener may not be.
 */
export async function quietPort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) return port
  }
  throw new InvariantError('No port is free.', { from: FIRST, to: LAST })
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
