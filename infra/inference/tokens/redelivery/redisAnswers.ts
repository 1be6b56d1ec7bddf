import { Redis } from 'ioredis'
import { InvalidInputError } from '../../../../runtime/core/errors.ts'
import { toHex } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import {
  type AnswerCache,
  type AnswerLimits,
  ENTRY_BYTES,
  requireBinding,
  requireLimits,
  requireTtl,
} from './answerCache.ts'

export type RedisAnswersOptions = AnswerLimits & {
  /** What all keys begin with; `rialto:answers` unless given. Those who share it share their answers and limits. */
  readonly prefix?: string
} & (
    | {
        /** `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS */
        readonly url: string
      }
    | {
        /** Somebody else's: it is not ended here, and its `error` event and patience are its owner's. */
        readonly redis: Redis
      }
  )

const CONNECT_TIMEOUT_MS = 2_000
/** An answer that is late is no help: the client is told that it was not kept. */
const COMMAND_TIMEOUT_MS = 2_000
const MOST_RECONNECT_DELAY_MS = 2_000

/**
 * Puts an answer. KEYS: the answer, the bindings by the order in which they were put, their sizes, and one hash of two
 * numbers: the total size and the last place in the order. ARGV: binding, answer, time to live, its size, most bytes.
 *
 * Sizes are counted here, because what a server holds of others' data says nothing of ours. Answers end by themselves;
 * what is counted for one that has ended goes when its turn comes, and all of it when no answer is left. Every key has
 * the same hash tag, so that all are in one slot of a cluster. A server that is full may have evicted any of these
 * keys: then what can still be counted is counted anew.
 */
const PUT = `
local answer, order, sizes, count = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local binding, size, most = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local prefix = string.sub(answer, 1, -#binding - 1)
local function forget(which)
  redis.call('UNLINK', prefix .. which)
  redis.call('ZREM', order, which)
  local held = redis.call('HGET', sizes, which)
  redis.call('HDEL', sizes, which)
  if held then return redis.call('HINCRBY', count, 'total', -tonumber(held)) end
  return tonumber(redis.call('HGET', count, 'total') or '0')
end
local total = forget(binding)
if total < 0 then
  total = 0
  for _, held in ipairs(redis.call('HVALS', sizes)) do total = total + tonumber(held) end
  redis.call('HSET', count, 'total', total)
end
while total + size > most do
  local oldest = redis.call('ZRANGE', order, 0, 0)[1]
  if not oldest then
    redis.call('DEL', sizes)
    redis.call('HSET', count, 'total', 0)
    break
  end
  total = forget(oldest)
end
redis.call('SET', answer, ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', order, redis.call('HINCRBY', count, 'place', 1), binding)
redis.call('HSET', sizes, binding, size)
redis.call('HINCRBY', count, 'total', size)
for _, key in ipairs({ order, sizes, count }) do
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
end
return 1
`

/**
 * Answers in a Redis or Valkey, shared by any number of gateway processes. It may lose them at any time: then a client
 * that asks again is told that its answer was not kept.
 *
 * @throws {InvalidInputError} when the URL is no Redis URL
 * @throws {TokenError} `STORE_UNAVAILABLE` or `STORE_REFUSED`
 * @example const answers = await redisAnswers({ url: process.env.REDIS_URL })
 */
export async function redisAnswers(options: RedisAnswersOptions): Promise<AnswerCache> {
  const { answerBytes, totalBytes } = requireLimits(options)
  const tag = `{${options.prefix ?? 'rialto:answers'}}`
  const { redis, where, end } = 'redis' in options ? borrowed(options.redis) : await connected(options.url)

  async function ask<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      throw toAnswerError(error, where)
    }
  }

  return {
    async put(binding, answer, ttlMs) {
      requireBinding(binding)
      requireTtl(ttlMs)
      if (answer.length > answerBytes) return false
      const key = toHex(binding)
      const keys = [`${tag}:a:${key}`, `${tag}:order`, `${tag}:sizes`, `${tag}:count`]
      const size = answer.length + ENTRY_BYTES
      await ask(() =>
        redis.eval(PUT, keys.length, ...keys, key, Buffer.from(answer), ttlMs, size, totalBytes),
      )
      return true
    },
    async get(binding) {
      requireBinding(binding)
      const answer = await ask(() => redis.getBuffer(`${tag}:a:${toHex(binding)}`))
      return answer === null ? undefined : new Uint8Array(answer)
    },
    async close() {
      end()
    },
  }
}

type NamedRedis = { readonly redis: Redis; readonly where: string; end(): void }

const borrowed = (redis: Redis): NamedRedis => ({
  redis,
  where: `${redis.options.host}:${redis.options.port}`,
  end: () => {},
})

async function connected(url: string): Promise<NamedRedis> {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '')
    throw new InvalidInputError('The URL of the answers is not a Redis URL.', {
      fix: 'Write it like redis://user:password@localhost:6379/0.',
    })
  const where = parsed.host
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // A straight answer: what is asked while there is no connection fails at once, and the connection comes back.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (tries) => Math.min(tries * 50, MOST_RECONNECT_DELAY_MS),
  })
  // Whoever asks is told by the command; without a listener the event would be printed.
  let first: unknown = null
  redis.on('error', (error) => {
    first ??= error
  })
  try {
    await redis.connect()
  } catch (error) {
    redis.disconnect()
    throw toAnswerError(first ?? error, where)
  }
  return { redis, where, end: () => redis.disconnect() }
}

/** An error of ioredis holds the whole command, answer included: nothing of it is kept but its kind. */
function toAnswerError(error: unknown, where: string): TokenError {
  if (error instanceof TokenError) return error
  const { message, code } = error as { message?: unknown; code?: unknown }
  const kind = typeof message === 'string' ? (/^[A-Z]{4,}(?= )/.exec(message)?.[0] ?? null) : null
  if (kind !== null && /^(WRONGPASS|NOAUTH|NOPERM)$/.test(kind))
    return new TokenError('STORE_REFUSED', `The Redis at ${where} refuses us (${kind}).`, {
      fix: 'Check user and password, and that the user may read and write keys of the prefix and run scripts.',
      details: { where, kind },
    })
  const reason = typeof code === 'string' ? code : (kind ?? 'the connection broke')
  return new TokenError('STORE_UNAVAILABLE', `The Redis at ${where} does not answer (${reason}).`, {
    fix: 'Try again, and check that the server runs, can be reached and has memory left.',
    retryable: true,
    details: { where, reason },
  })
}
