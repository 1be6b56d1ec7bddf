import { hkdfSync } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { redisReplay } from './gateway/keys/redisReplay.ts'
import type { GatewayOptions } from './gateway/options.ts'
import { exportIdentityKey, type IdentityKey } from './protocol/network/identity.ts'
import { fileNullifiers } from './tokens/nullifiers/fileNullifiers.ts'
import { postgresNullifiers } from './tokens/nullifiers/postgresNullifiers.ts'
import { memoryAnswers } from './tokens/redelivery/memoryAnswers.ts'
import { redisAnswers } from './tokens/redelivery/redisAnswers.ts'

/** What a gateway remembers spends with, and how it is let go of. */
export type SpendStores = {
  readonly parts: Pick<GatewayOptions, 'nullifiers' | 'answers' | 'cluster'>
  /** After the gateway. */
  close(): Promise<void>
}

/**
 * Opens what one gateway process needs, or what several behind one name share.
 *
 * @param parameters.directory of a single process: an append-only file there holds what is spent
 * @param parameters.identity of the gateway: processes that share it derive the same keys
 * @param parameters.shared PostgreSQL for what is spent, Redis for replays and for answers that are delivered again
 * @throws {TokenError} when a store cannot be opened, or would not survive a power cut.
 */
export async function openSpendStores(parameters: {
  readonly directory: string
  readonly identity: IdentityKey
  readonly shared?: { readonly database: string; readonly redis: string }
}): Promise<SpendStores> {
  const { directory, identity, shared } = parameters
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if (shared === undefined) {
    const answers = memoryAnswers()
    const nullifiers = await fileNullifiers(join(directory, 'nullifiers.log'))
    return { parts: { nullifiers, answers }, close: () => closeAll(nullifiers, answers) }
  }
  const nullifiers = await postgresNullifiers({ url: shared.database })
  try {
    const answers = await redisAnswers({ url: shared.redis })
    try {
      const redis = new Redis(shared.redis, { maxRetriesPerRequest: 1 })
      // What is asked while the connection is down fails, and says so; ioredis wants somebody to listen all the same.
      redis.on('error', () => undefined)
      const replay = redisReplay(redis, { gateway: identity.identity.text })
      return {
        parts: { nullifiers, answers, cluster: { seed: clusterSeed(identity), replay } },
        close: () => closeAll(nullifiers, answers, { close: async () => redis.disconnect() }),
      }
    } catch (error) {
      await answers.close()
      throw error
    }
  } catch (error) {
    await nullifiers.close()
    throw error
  }
}

/** What all processes of a gateway derive their OHTTP keys from: whoever holds the identity holds these keys. */
const clusterSeed = (identity: IdentityKey): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', exportIdentityKey(identity), '', 'rialto gateway cluster v1', 32))

async function closeAll(...stores: readonly { close(): Promise<void> }[]): Promise<void> {
  for (const store of stores) await store.close()
}
