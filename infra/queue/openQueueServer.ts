import { InvalidInputError, type RialtoError } from '../../runtime/core/errors.ts'
import { checkRedis } from './checkRedis.ts'
import { openEmbedded } from './openEmbedded.ts'

/** How to reach the server: fit for BullMQ and for ioredis. It holds the password: never log it. */
export type QueueConnection = {
  readonly host: string
  readonly port: number
  readonly db?: number
  readonly username?: string
  readonly password?: string
  readonly tls?: Record<string, never>
  /** BullMQ's workers block on a connection for as long as there is nothing to do. */
  readonly maxRetriesPerRequest: null
}

/** Where the queues live. */
export type QueueServer = {
  readonly kind: 'embedded' | 'redis'
  readonly connection: QueueConnection
  /** What to call it in a message: host, port and database. Never a password. */
  readonly where: string
  /** What is not as it should be but can be lived with, as lines for a person. */
  readonly notes: readonly string[]
  /** Ends the embedded server; a Redis of somebody else's is left alone. */
  close(): Promise<void>
}

export type QueueServerOptions = {
  /** `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. Without it, an embedded Valkey. */
  readonly redisUrl?: string | undefined
  /** Told once if the embedded server dies while it is open. */
  readonly onFailure?: (error: RialtoError) => void
}

/**
 * Opens the server that the queues live on: the Redis or Valkey of the URL, or one of our own in a worker thread.
 *
 * @throws {InvalidInputError} when the URL is no Redis URL.
 * @throws {QueueUnreachableError | QueueRefusedError} when the Redis does not answer, or a queue cannot live there.
 * @throws {QueueLostError} when the embedded server does not start.
 * @example
 * const server = await openQueueServer({ redisUrl: process.env.REDIS_URL })
 * const queue = new Queue('runs', { connection: server.connection })
 */
export async function openQueueServer(options: QueueServerOptions = {}): Promise<QueueServer> {
  const { redisUrl, onFailure = () => {} } = options
  if (redisUrl === undefined) {
    const { host, port, password, close } = await openEmbedded(onFailure)
    return {
      kind: 'embedded',
      connection: { host, port, password, maxRetriesPerRequest: null },
      where: `${host}:${port}`,
      notes: [],
      close,
    }
  }
  const connection = parseRedisUrl(redisUrl)
  const where = `${connection.host}:${connection.port}/${connection.db ?? 0}`
  const notes = await checkRedis(connection, where)
  return { kind: 'redis', connection, where, notes, close: async () => {} }
}

/** @throws {InvalidInputError} without the URL in it: it may hold a password. */
function parseRedisUrl(text: string): QueueConnection {
  const url = URL.canParse(text) ? new URL(text) : null
  const database = /^\/?(\d*)$/.exec(url?.pathname ?? '-')?.[1]
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '' || database === undefined)
    throw new InvalidInputError('REDIS_URL is not a Redis URL.', {
      fix: 'Write it like redis://user:password@localhost:6379/0.',
    })
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(database),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
    maxRetriesPerRequest: null,
  }
}
