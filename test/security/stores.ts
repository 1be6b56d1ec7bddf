import { Redis } from 'ioredis'
import { Client } from 'pg'
import { createTestDatabase } from '../../infra/inference/tokens/nullifiers/testPostgres.ts'
import type { Written } from './written.ts'

/** Where a gateway keeps what is spent. */
export type Stores = {
  /** Absent: files of the gateway's own. */
  readonly shared?: { readonly database: string; readonly redis: string }
  /** The places where nullifiers are, and have to be. */
  readonly nullifiers: readonly string[]
  /**
   * Whether a gateway knows at once that nobody works on what a killed one reserved. Another process behind the same
   * name may, where there can be any, for the ten minutes that an answer may take.
   */
  readonly isAlone: boolean
  /** All that is in them, and all that was ever written to Redis. */
  written(): Promise<readonly Written[]>
  close(): Promise<void>
}

const { TEST_DATABASE_URL: server = '', TEST_REDIS_URL: redis = '' } = process.env

/** Each kind of store, with the reason where it is left out. */
export const storeKinds: readonly {
  readonly name: string
  readonly open: () => Promise<Stores>
  readonly reason?: string
}[] = [
  {
    name: 'files',
    open: async () => ({
      nullifiers: ['gateway/state/nullifiers.log'],
      isAlone: true,
      written: async () => [],
      close: async () => undefined,
    }),
  },
  {
    name: 'PostgreSQL and Redis',
    open: openShared,
    ...(server === '' || redis === ''
      ? { reason: 'is left out: set TEST_DATABASE_URL and TEST_REDIS_URL to servers' }
      : {}),
  },
]

async function openShared(): Promise<Stores> {
  const database = await createTestDatabase(server)
  const commands: string[] = []
  const connection = new Redis(redis)
  const monitor = await connection.monitor()
  monitor.on('monitor', (_: string, parts: readonly string[]) => commands.push(parts.join(' ')))
  return {
    shared: { database: database.url, redis },
    nullifiers: ['postgres rialto_nullifiers.nullifiers'],
    isAlone: false,
    async written() {
      return [
        ...(await tablesOf(database.url)),
        ...(await keysOf(connection)),
        { place: 'redis, every command', bytes: Buffer.from(commands.join('\n'), 'latin1') },
      ]
    },
    async close() {
      monitor.disconnect()
      connection.disconnect()
      await database.drop()
    },
  }
}

/** Every row of every table, and the server's log where it may be read. */
async function tablesOf(url: string): Promise<readonly Written[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    )
    const written: Written[] = []
    for (const { name } of rows) {
      const table = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`)
      written.push({
        place: `postgres ${name}`,
        bytes: Buffer.from(table.rows.map(({ row }) => row).join('\n')),
      })
    }
    const log = await client
      .query<{ text: string | null }>('SELECT pg_read_file(pg_current_logfile()) AS text')
      .catch(() => undefined)
    const text = log?.rows[0]?.text
    if (typeof text === 'string') written.push({ place: 'postgres log', bytes: Buffer.from(text) })
    return written
  } finally {
    await client.end()
  }
}

/** Every key with its value, by its kind: what DUMP gives may be compressed. */
async function keysOf(connection: Redis): Promise<readonly Written[]> {
  const written: Written[] = []
  for await (const keys of connection.scanStream({ count: 1_000 }) as AsyncIterable<string[]>)
    for (const key of keys) {
      const kind = await connection.type(key)
      const value =
        kind === 'string'
          ? await connection.getBuffer(key)
          : kind === 'hash'
            ? Object.entries(await connection.hgetallBuffer(key)).flat()
            : kind === 'zset'
              ? await connection.zrangeBuffer(key, '0', '-1')
              : kind === 'set'
                ? await connection.smembersBuffer(key)
                : kind === 'list'
                  ? await connection.lrangeBuffer(key, 0, -1)
                  : []
      const parts = (Array.isArray(value) ? value : [value ?? '']).map((part) => Buffer.from(part))
      written.push({ place: 'redis', bytes: Buffer.concat([Buffer.from(key), ...parts]) })
    }
  return written
}
