import type { Redis } from 'ioredis'
import { SharedReplayError } from '../errors.ts'
import type { SharedReplay } from './sharedReplay.ts'

/**
 * Remembers requests in Redis, with `SET key 1 PX ttl NX` for each.
 *
 * A Redis that lost its memory lets a captured request open a second time within the life of its key. Nothing is
 * spent twice by it, because nullifiers are elsewhere, and the node refuses its part. While Redis does not answer,
 * nothing opens; a request whose fate is not known counts as seen.
 *
 * @param redis closed by the caller
 * @param gateway the name that the processes share
 * @param patience milliseconds to wait for an answer
 * @example redisReplay(new Redis(url, { enableOfflineQueue: false }), { gateway: 'gateway-a' })
 */
export function redisReplay(
  redis: Pick<Redis, 'set'>,
  { gateway, patience = 2_000 }: { readonly gateway: string; readonly patience?: number },
): SharedReplay {
  return {
    async admit(key, enc, ttl) {
      const name = `rialto:replay:${gateway}:${key}:${Buffer.from(enc).toString('base64url')}`
      // A client that lost its connection may hold commands back for as long as it takes.
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new SharedReplayError()), patience)
      })
      try {
        return (await Promise.race([redis.set(name, '1', 'PX', Math.ceil(ttl), 'NX'), late])) === 'OK'
      } catch (error) {
        throw error instanceof SharedReplayError ? error : new SharedReplayError(error)
      } finally {
        clearTimeout(timer)
      }
    },
  }
}
