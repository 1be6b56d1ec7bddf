import { Redis } from 'ioredis'
import { RialtoError } from '../../runtime/core/errors.ts'
import { QueueRefusedError, QueueUnreachableError } from './errors.ts'
import type { QueueConnection } from './openQueueServer.ts'

const OLDEST = [6, 2] as const

/**
 * Makes sure that a queue can live on a Redis, by using it as a queue will: a script that writes.
 *
 * @param where the server, without a password
 * @param patience how long it may take to answer all in all, in milliseconds
 * @returns what is wrong with it but can be lived with, as lines for a person
 * @throws {QueueUnreachableError | QueueRefusedError}
 */
export async function checkRedis(
  connection: QueueConnection,
  where: string,
  patience = 5_000,
): Promise<readonly string[]> {
  const client = new Redis({
    ...connection,
    lazyConnect: true,
    // One try and a straight answer: BullMQ's connections are the patient ones.
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    connectTimeout: patience,
  })
  const failure = new Promise<never>((_resolve, reject) => client.on('error', reject))
  const silence = timeout(patience, where)
  try {
    return await Promise.race([examine(client, where), failure, silence.expired])
  } catch (error) {
    throw toQueueError(error, where)
  } finally {
    silence.cancel()
    client.disconnect()
  }
}

async function examine(client: Redis, where: string): Promise<readonly string[]> {
  await client.connect()
  const info = parseInfo(await client.info())
  const version = info.get('redis_version')
  if (version === undefined) throw new QueueRefusedError('QUEUE_NOT_REDIS', where)
  if (isOlder(version)) throw new QueueRefusedError('QUEUE_TOO_OLD', where, version)
  if (info.get('cluster_enabled') === '1') throw new QueueRefusedError('QUEUE_CLUSTER', where)
  await client.eval("return redis.call('SET', KEYS[1], '1', 'PX', 1000)", 1, 'rialto.probe')

  const policy = info.get('maxmemory_policy')
  return policy === undefined || policy === 'noeviction'
    ? []
    : [`The Redis at ${where} may evict jobs when it is full (${policy}): set maxmemory-policy noeviction.`]
}

/** The lines of INFO. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}

/** What the first conversation with a server says about it. The password is in none of these. */
function toQueueError(error: unknown, where: string): RialtoError {
  if (error instanceof RialtoError) return error
  const { message, code } = error as { message?: string; code?: string }
  const text = (message ?? String(error)).split('\n')[0] ?? ''
  if (/^(WRONGPASS|NOAUTH|ERR invalid password|ERR AUTH|ERR Client sent AUTH)/i.test(text))
    return new QueueRefusedError('QUEUE_LOGIN', where)
  if (/^(READONLY|ERR .*read only replica)/i.test(text))
    return new QueueRefusedError('QUEUE_READ_ONLY', where)
  if (/^NOPERM/.test(text)) return new QueueRefusedError('QUEUE_PERMISSION', where)
  if (/RESP type|protocol error|unknown command|wrong version number/i.test(text))
    return new QueueRefusedError('QUEUE_NOT_REDIS', where)
  return new QueueUnreachableError(where, code ?? text, error)
}

function timeout(milliseconds: number, where: string): { expired: Promise<never>; cancel(): void } {
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_resolve, reject) => {
    const error = new QueueUnreachableError(where, `no answer within ${milliseconds} ms`)
    timer = setTimeout(() => reject(error), milliseconds)
  })
  return { expired, cancel: () => clearTimeout(timer) }
}
